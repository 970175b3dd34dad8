local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    assert(queue.publish("app:orders", { id = "o1", cents = -5 }))
    assert(queue.publish("app:orders", { id = "o2", cents = 5 }))
    local handled = store.get("app:handled")
    time.sleep("4m") -- whatever is late or fails has come right by then
    local before = handled:entry("tries")
    time.sleep("1m")
    local after = handled:entry("tries")
    if not before or after.version ~= before.version then
        error("an order is tried again and again")
    end
end
