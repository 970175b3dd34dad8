local store = require("store")

return function(seat, buyer)
    local seats = store.get("app:seats")
    if seats:has(seat) then
        return "taken"
    end
    local _, err = seats:set(seat, buyer)
    if err then
        return nil, err
    end
    return "sold"
end
