local store = require("store")
local time = require("time")

return function(text)
    local key = string.format("entry:%020d", time.now():unix_nano())
    return store.get("app:log"):put(key, text, { only_if_absent = true })
end
