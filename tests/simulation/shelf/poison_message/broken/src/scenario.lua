local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    assert(queue.publish("app:orders", { id = "o1", cents = -5 }))
    assert(queue.publish("app:orders", { id = "o2", cents = 5 }))
    local handled = store.get("app:handled")
    for _ = 1, 20 do
        time.sleep("20s")
        if handled:has("handled:o2") and (handled:has("refused:o1") or queue.info("app:orders").message_count == 0) then
            return true
        end
    end
    error("the orders are still in the queue, or go round in it")
end
