local store = require("store")
local time = require("time")

return function()
    local pages = store.get("app:pages")
    for _ = 1, 30 do
        time.sleep("10s")
        if pages:get("position") == 8 then
            break
        end
    end
    for page = 1, pages:get("position") or 0 do
        if not pages:has("read:" .. page) then
            error("page " .. page .. " was never read")
        end
    end
end
