local store = require("store")
local time = require("time")

return function()
    process.registry.register("restaurant")
    local inbox, events = process.inbox(), process.events()
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
        time.sleep("5s") -- somebody looks for a table
        store.get("app:bookings"):set("table:4", "booked")
        process.send(ready.value:from(), "booked")
    end
end
