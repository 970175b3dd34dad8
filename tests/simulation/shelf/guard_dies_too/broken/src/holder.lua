local store = require("store")
local time = require("time")

return function()
    local events, guarded = process.events(), process.listen("guarded")
    local _, err = process.spawn_monitored("app:guard", "app:processes", process.pid())
    if err then
        error(err)
    end
    local ready = channel.select { guarded:case_receive(), events:case_receive() }
    if ready.channel == events then
        error("no guard")
    end
    local locks = store.get("app:locks")
    locks:set("door", process.pid())
    for _ = 1, 20 do
        local work = time.after("1s")
        ready = channel.select { work:case_receive(), events:case_receive() }
        if ready.channel == events then
            break -- without a guard it is not held on to
        end
    end
    locks:delete("door")
end
