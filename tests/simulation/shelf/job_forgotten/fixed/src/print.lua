local store = require("store")

return function(job)
    return store.get("app:jobs"):set("printed:" .. job.id, job.text)
end
