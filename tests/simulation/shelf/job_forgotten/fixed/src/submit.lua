local queue = require("queue")

return function(id, text)
    return queue.publish("app:work", { id = id, text = text })
end
