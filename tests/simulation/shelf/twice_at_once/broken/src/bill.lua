local store = require("store")
local time = require("time")

return function(order)
    local bills = store.get("app:bills")
    if bills:has("bill:" .. order.id) then
        return true
    end
    time.sleep("1s") -- it is printed
    local printed = bills:get("bill:" .. order.id) or 0
    local _, err = bills:set("bill:" .. order.id, printed + 1)
    return err == nil, err
end
