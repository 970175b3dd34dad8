local store = require("store")

return function()
    local counters = store.get("app:counters")
    for _ = 1, 50 do
        local entry = counters:entry("visits")
        local written, err
        if entry then
            written, err = counters:put("visits", entry.value + 1, { if_version = entry.version })
        else
            written, err = counters:put("visits", 1, { only_if_absent = true })
        end
        if written then
            return true
        end
        if err:kind() ~= errors.CONFLICT and err:kind() ~= errors.ALREADY_EXISTS then
            return nil, err
        end
    end
    return nil, errors.new({ message = "too many others", kind = errors.CONFLICT })
end
