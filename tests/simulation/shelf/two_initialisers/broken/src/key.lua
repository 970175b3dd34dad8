local store = require("store")
local uuid = require("uuid")

return function()
    local vault = store.get("app:vault")
    local key = vault:get("key")
    if not key then
        key = uuid.v4()
        vault:set("key", key)
    end
    return key
end
