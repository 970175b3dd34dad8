local store = require("store")

return function()
    local work, stop = process.listen("work"), process.listen("stop")
    local booked = 0
    while true do
        local ready = channel.select { stop:case_receive(), work:case_receive() }
        if ready.channel == stop then
            return booked
        end
        store.get("app:ledger"):set("entry:" .. ready.value, true)
        booked = booked + 1
    end
end
