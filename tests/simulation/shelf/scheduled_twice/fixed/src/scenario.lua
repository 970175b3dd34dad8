local store = require("store")
local time = require("time")

return function()
    time.sleep("5m")
    local days = {}
    for _, item in ipairs(store.get("app:letters"):list({ prefix = "letter:" }).items) do
        if days[item.value] then
            error("the newsletter of day " .. item.value .. " was sent twice")
        end
        days[item.value] = true
    end
end
