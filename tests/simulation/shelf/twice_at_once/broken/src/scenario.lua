local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    for number = 1, 3 do
        queue.publish("app:orders", { id = "o" .. number })
    end
    time.sleep("3m")
    for number = 1, 3 do
        local bills = store.get("app:bills"):get("bill:o" .. number)
        if bills and bills > 1 then
            error("order o" .. number .. " has " .. bills .. " bills")
        end
    end
end
