local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    for number = 1, 4 do
        queue.publish("app:orders", { id = "o" .. number })
    end
    time.sleep("3m")
    local charges = {}
    for _, item in ipairs(store.get("app:charges"):list({ prefix = "charge:" }).items) do
        charges[item.value] = (charges[item.value] or 0) + 1
    end
    for number = 1, 4 do
        local count = charges["o" .. number] or 0
        if count ~= 1 then
            error("order o" .. number .. " was charged " .. count .. " times")
        end
    end
end
