local time = require("time")

return function(role)
    local entered, events = process.listen("enter"), process.events()
    assert(process.monitor(process.registry.lookup("page") or ""))
    assert(process.send("page", role))
    local ready = channel.select { entered:case_receive(), events:case_receive() }
    if ready.channel == events then
        error("there is a new page, which knows nobody")
    end
    time.sleep("3s")
    return role
end
