local time = require("time")

return function()
    local granted, events = process.listen("granted"), process.events()
    assert(process.monitor(process.registry.lookup("lock") or ""))
    assert(process.send("lock", "acquire"))
    local ready = channel.select { granted:case_receive(), events:case_receive() }
    if ready.channel == events then
        error("the lock is gone")
    end
    time.sleep("1s")
    process.send("lock", "release")
end
