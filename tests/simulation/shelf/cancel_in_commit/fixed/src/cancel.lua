local store = require("store")

return function(id)
    local orders = store.get("app:orders")
    local order = orders:entry(id)
    if order.value ~= "open" or not orders:put(id, "cancelled", { if_version = order.version }) then
        return "no"
    end
    return "cancelled"
end
