local store = require("store")
local time = require("time")

return function(order)
    local bills = store.get("app:bills")
    if bills:has("bill:" .. order.id) then
        return true
    end
    time.sleep("1s") -- it is printed
    local _, err = bills:put("bill:" .. order.id, 1, { only_if_absent = true })
    if err and err:kind() ~= errors.ALREADY_EXISTS then
        return nil, err
    end
    return true
end
