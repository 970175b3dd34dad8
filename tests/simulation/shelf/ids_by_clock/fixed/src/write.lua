local store = require("store")

return function(text)
    local log = store.get("app:log")
    for _ = 1, 20 do
        local count = log:entry("count")
        local number = (count and count.value or 0) + 1
        local options = count and { if_version = count.version } or { only_if_absent = true }
        if log:put("count", number, options) then
            return log:put(string.format("entry:%020d", number), text, { only_if_absent = true })
        end
    end
    return nil, errors.new("too many others")
end
