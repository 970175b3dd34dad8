local queue = require("queue")
local store = require("store")

return function(id, text)
    local _, err = store.get("app:jobs"):set("job:" .. id, text, 35)
    if err then
        return nil, err
    end
    return queue.publish("app:work", { id = id })
end
