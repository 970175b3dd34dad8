local store = require("store")

return function(seat, buyer)
    local seats = store.get("app:seats")
    local _, err = seats:put(seat, buyer, { only_if_absent = true })
    if err and err:kind() == errors.ALREADY_EXISTS then
        return "taken"
    end
    if err then
        return nil, err
    end
    return "sold"
end
