local store = require("store")
local time = require("time")

return function(order)
    time.sleep("1s")
    if order.cents < 0 then
        return store.get("app:handled"):set("refused:" .. order.id, "negative")
    end
    return store.get("app:handled"):set("handled:" .. order.id, true)
end
