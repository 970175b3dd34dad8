local store = require("store")
local time = require("time")

return function()
    local meter = process.spawn("app:meter", "app:processes")
    time.sleep("10m")
    local seconds = store.get("app:bills"):get("seconds") or 0
    if meter then
        process.terminate(meter)
    end
    if seconds > 609 then
        error(math.floor(seconds) .. " seconds are billed for ten minutes")
    end
end
