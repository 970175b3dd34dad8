local store = require("store")
local time = require("time")

return function()
    local _, err = process.spawn("app:writer", "app:processes", process.pid())
    if err then
        error(err)
    end
    time.sleep("5500ms")
    return store.get("app:board"):get("news") or "no news"
end
