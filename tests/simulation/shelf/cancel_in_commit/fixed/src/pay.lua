local store = require("store")
local time = require("time")

return function(id)
    local orders = store.get("app:orders")
    local order = orders:entry(id)
    if order.value ~= "open" or not orders:put(id, "paying", { if_version = order.version }) then
        return "no"
    end
    time.sleep("1ms") -- the bank
    orders:set("paid:" .. id, true)
    orders:set(id, "paid")
    return "paid"
end
