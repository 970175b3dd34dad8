local store = require("store")
local uuid = require("uuid")

return function(order)
    return store.get("app:charges"):set("charge:" .. uuid.v4(), order.id)
end
