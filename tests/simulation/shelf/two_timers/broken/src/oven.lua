local time = require("time")

return function()
    local heat = "on"
    coroutine.spawn(function()
        time.sleep("5s")
        heat = "off"
    end)
    time.sleep("5100ms")
    return heat == "on" and "opened a hot oven" or "done"
end
