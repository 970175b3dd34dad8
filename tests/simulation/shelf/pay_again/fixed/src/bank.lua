local store = require("store")

return function(request)
    local books = store.get("app:books")
    local key = request.headers["x-key"] or request.headers["X-Key"]
    if type(key) == "table" then
        key = key[1]
    end
    books:put("booked:" .. key, request.body, { only_if_absent = true })
    return { status = 201, body = "booked" }
end
