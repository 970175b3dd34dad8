local events = require("events")

return function(name)
    local pid, err = process.spawn("app:job", "app:processes", name)
    if err then
        return nil, err
    end
    local subscription, sub_err = events.subscribe("jobs", "job.done")
    if sub_err then
        return nil, sub_err
    end
    if not process.monitor(pid) then -- gone: done or failed; its event says which
        local event = subscription:channel():receive()
        return event.data.name
    end
    local signals = process.events()
    local ready = channel.select { subscription:channel():case_receive(), signals:case_receive() }
    if ready.channel == signals and ready.value.result.error then
        return nil, ready.value.result.error
    end
    return name
end
