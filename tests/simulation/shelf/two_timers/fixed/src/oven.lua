local time = require("time")

return function()
    local cold = channel.new(1)
    local heat = "on"
    coroutine.spawn(function()
        time.sleep("5s")
        heat = "off"
        cold:send(true)
    end)
    time.sleep("5100ms")
    cold:receive()
    return heat == "on" and "opened a hot oven" or "done"
end
