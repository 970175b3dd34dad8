local time = require("time")

-- Told to stop at the moment at which the last reading is due: it may have ended by itself by then.
return function()
    local events = process.events()
    local sensor, err = process.spawn_monitored("app:sensor", "app:processes")
    if err then
        return true
    end
    time.sleep("5s")
    process.send(sensor, "stop")
    while true do
        local event = events:receive()
        if event.kind == process.event.EXIT and event.from == sensor then
            local failure = event.result.error
            if failure and not tostring(failure):find("injected fault", 1, true)
                and failure:kind() ~= errors.CANCELED then
                error("the sensor failed: " .. tostring(failure))
            end
            return true
        end
    end
end
