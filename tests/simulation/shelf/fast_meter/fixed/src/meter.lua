local store = require("store")
local time = require("time")

return function()
    local billed_s = 0
    while true do
        time.sleep("10s")
        billed_s = billed_s + 10
        store.get("app:bills"):set("seconds", billed_s)
    end
end
