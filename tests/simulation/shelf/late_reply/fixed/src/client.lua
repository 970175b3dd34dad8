local time = require("time")

local function ask(answers, number)
    process.send("oracle", "question", { id = number, number = number })
    local patience = time.after("1s")
    while true do
        local ready = channel.select { answers:case_receive(), patience:case_receive() }
        if ready.channel == patience then
            return nil
        elseif ready.value.id == number then
            return ready.value.double
        end
    end
end

return function()
    local answers = process.listen("answer")
    local wrong = 0
    for number = 1, 4 do
        local double = ask(answers, number)
        if double and double ~= number * 2 then
            wrong = wrong + 1
        end
    end
    return wrong
end
