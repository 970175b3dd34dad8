local store = require("store")
local time = require("time")

return function()
    local standby = process.spawn("app:standby", "app:processes")
    time.sleep("2m")
    if standby then
        process.terminate(standby)
    end
    if store.get("app:roles"):get("standby") == "primary" then
        error("two primaries")
    end
end
