local store = require("store")

return function()
    process.registry.register("printer")
    local inbox, events = process.inbox(), process.events()
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
        local job = ready.value:payload():data()
        if job == "jam" then
            error("paper jam") -- the supervisor starts a new printer
        end
        store.get("app:printed"):set("page:" .. job, true)
        process.send(ready.value:from(), "printed", job)
    end
end
