local time = require("time")

-- Doubles numbers; hard ones take as long as clients are patient.
return function()
    process.registry.register("oracle")
    local inbox, events = process.inbox(), process.events()
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
        local question = ready.value:payload():data()
        if question.number % 2 == 1 then
            time.sleep("1s")
        end
        process.send(ready.value:from(), "answer", { id = question.id, double = question.number * 2 })
    end
end
