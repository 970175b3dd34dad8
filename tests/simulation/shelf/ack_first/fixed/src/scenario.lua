local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    for number = 1, 4 do
        assert(queue.publish("app:outgoing", { to = "user" .. number }))
    end
    time.sleep("5m")
    for number = 1, 4 do
        if not store.get("app:mails"):has("mailed:user" .. number) then
            error("user" .. number .. " got no mail")
        end
    end
end
