local store = require("store")
local uuid = require("uuid")

return function()
    local vault = store.get("app:vault")
    local key = vault:get("key")
    if not key then
        vault:put("key", uuid.v4(), { only_if_absent = true })
        key = vault:get("key")
    end
    return key
end
