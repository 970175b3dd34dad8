local store = require("store")
local time = require("time")

return function()
    local events = process.events()
    local holder = process.spawn_monitored("app:holder", "app:processes")
    while holder do
        local event = events:receive()
        if event.kind == process.event.EXIT and event.from == holder then
            break
        end
    end
    time.sleep("2m")
    if store.get("app:locks"):has("door") then
        error("nobody is there, and the door is locked")
    end
end
