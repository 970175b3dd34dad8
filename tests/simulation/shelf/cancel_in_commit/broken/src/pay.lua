local store = require("store")
local time = require("time")

return function(id)
    local orders = store.get("app:orders")
    if orders:get(id) ~= "open" then
        return "no"
    end
    time.sleep("1ms") -- the bank
    orders:set("paid:" .. id, true)
    orders:set(id, "paid")
    return "paid"
end
