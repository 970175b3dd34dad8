local time = require("time")

local function acquire(name, granted)
    assert(process.monitor(process.registry.lookup(name)))
    assert(process.send(name, "acquire"))
    local events = process.events()
    local ready = channel.select { granted:case_receive(), events:case_receive() }
    if ready.channel == events then
        error("the lock of " .. name .. " is gone")
    end
end

return function(from, to)
    local granted = process.listen("granted")
    local first, second = from, to
    if second < first then
        first, second = second, first
    end
    acquire(first, granted)
    acquire(second, granted)
    time.sleep("10ms") -- the work
    process.send(second, "release")
    process.send(first, "release")
    return "done"
end
