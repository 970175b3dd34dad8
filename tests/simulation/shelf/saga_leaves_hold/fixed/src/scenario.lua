local funcs = require("funcs")
local store = require("store")
local time = require("time")

return function()
    for room = 1, 3 do
        funcs.call("app:book", "room " .. room)
    end
    time.sleep("10m")
    local held = store.get("app:rooms"):list({ prefix = "held:" }).items
    if #held > 0 then
        error(held[1].key .. " for nobody")
    end
end
