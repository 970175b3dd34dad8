local store = require("store")

return function(job)
    local jobs = store.get("app:jobs")
    local text = jobs:get("job:" .. job.id)
    if not text then
        return true -- was withdrawn
    end
    return jobs:set("printed:" .. job.id, text)
end
