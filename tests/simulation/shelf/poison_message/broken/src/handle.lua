local store = require("store")
local time = require("time")

return function(order)
    local handled = store.get("app:handled")
    handled:set("tries", order.id)
    time.sleep("5s")
    if order.cents < 0 then
        return nil, errors.new({ message = "negative", kind = errors.INVALID })
    end
    return handled:set("handled:" .. order.id, true)
end
