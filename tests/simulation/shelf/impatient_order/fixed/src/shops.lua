local store = require("store")

return function(request)
    local books = store.get("app:books")
    local orders = books:get("orders:" .. request.body) or 0
    books:set("orders:" .. request.body, orders + 1)
    return { status = 201, body = "taken" }
end
