local store = require("store")
local time = require("time")

return function()
    for _ = 1, 50 do
        if store.get("app:news"):get("bytes") == 2000 then
            return true
        end
        time.sleep("10s")
    end
    error("no news for eight minutes")
end
