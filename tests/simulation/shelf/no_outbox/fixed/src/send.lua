local store = require("store")

return function(order)
    return store.get("app:sent"):set("sent:" .. order.id, true)
end
