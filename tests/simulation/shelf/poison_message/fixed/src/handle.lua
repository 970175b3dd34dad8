local store = require("store")
local time = require("time")

return function(order)
    local handled = store.get("app:handled")
    handled:set("tries", order.id)
    time.sleep("5s")
    if order.cents < 0 then
        return handled:set("refused:" .. order.id, "negative")
    end
    return handled:set("handled:" .. order.id, true)
end
