local events = require("events")

return function(name)
    local subscription, sub_err = events.subscribe("jobs", "job.done")
    if sub_err then
        return nil, sub_err
    end
    local _, err = process.spawn_monitored("app:job", "app:processes", name)
    if err then
        return nil, err
    end
    local signals = process.events()
    local ready = channel.select { subscription:channel():case_receive(), signals:case_receive() }
    if ready.channel == signals and ready.value.result.error then
        return nil, ready.value.result.error
    end
    return name
end
