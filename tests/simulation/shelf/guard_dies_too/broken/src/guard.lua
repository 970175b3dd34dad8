local store = require("store")

return function(holder)
    local events = process.events()
    if process.monitor(holder) then
        process.send(holder, "guarded")
        repeat
            local event = events:receive()
        until event.kind == process.event.EXIT
    end
    store.get("app:locks"):delete("door")
end
