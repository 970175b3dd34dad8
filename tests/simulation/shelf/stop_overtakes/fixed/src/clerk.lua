local store = require("store")

return function()
    local inbox = process.inbox()
    local booked = 0
    while true do
        local message = inbox:receive()
        if message:topic() == "stop" then
            return booked
        end
        store.get("app:ledger"):set("entry:" .. message:payload():data(), true)
        booked = booked + 1
    end
end
