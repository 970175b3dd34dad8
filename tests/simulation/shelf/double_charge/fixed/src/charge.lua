local store = require("store")

return function(order)
    local _, err = store.get("app:charges"):put("charge:" .. order.id, order.id, { only_if_absent = true })
    if err and err:kind() ~= errors.ALREADY_EXISTS then
        return nil, err
    end
    return true
end
