local fs = require("fs")
local store = require("store")
local time = require("time")

return function()
    local loaded = channel.new(1)
    coroutine.spawn(function()
        local mode = fs.get("app:disk"):readfile("/mode")
        if mode then
            store.get("app:state"):set("mode", mode)
        end
        loaded:send(true)
    end)
    local patience = time.after("5s")
    local ready = channel.select { loaded:case_receive(), patience:case_receive() }
    local started = ready.channel == loaded and "with settings" or "without settings"
    store.get("app:state"):set("started", started)
    time.sleep("1m")
    return started
end
