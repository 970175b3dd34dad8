local store = require("store")

return function(message)
    local rooms = store.get("app:rooms")
    rooms:set("sold", message.guest)
    return rooms:set("ticket:" .. message.guest, true)
end
