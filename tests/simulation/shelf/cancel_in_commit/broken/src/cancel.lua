local store = require("store")

return function(id)
    local orders = store.get("app:orders")
    if orders:get(id) ~= "open" then
        return "no"
    end
    orders:set(id, "cancelled")
    return "cancelled"
end
