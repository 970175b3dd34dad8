local store = require("store")

return function(message)
    local rooms = store.get("app:rooms")
    if rooms:get("sold") ~= message.guest then
        if rooms:get("held") ~= message.guest then
            return true -- too late
        end
        local _, err = rooms:put("sold", message.guest, { only_if_absent = true })
        if err then
            return err:kind() == errors.ALREADY_EXISTS, err
        end
    end
    return rooms:set("ticket:" .. message.guest, true)
end
