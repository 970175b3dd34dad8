local store = require("store")
local time = require("time")

return function()
    local locks, events = store.get("app:locks"), process.events()
    for _ = 1, 20 do
        locks:set("door", process.pid(), 30)
        local work = time.after("1s")
        local ready = channel.select { work:case_receive(), events:case_receive() }
        if ready.channel == events then
            break
        end
    end
    locks:delete("door")
end
