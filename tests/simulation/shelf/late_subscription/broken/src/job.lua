local events = require("events")

return function(name)
    events.send("jobs", "job.done", "/jobs/" .. name, { name = name })
    return "done"
end
