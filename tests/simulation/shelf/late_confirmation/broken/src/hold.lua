local queue = require("queue")
local store = require("store")

-- Holds the room for 20 s; by then the confirmation is through.
return function(guest)
    local rooms = store.get("app:rooms")
    if rooms:has("sold") then
        return nil, errors.new({ message = "sold", kind = errors.CONFLICT })
    end
    local _, err = rooms:put("held", guest, { only_if_absent = true, ttl = 20 })
    if err then
        return nil, err
    end
    return queue.publish("app:confirmations", { guest = guest })
end
