return function()
    local events = process.events()
    local clerk = process.spawn_monitored("app:clerk", "app:processes")
    local sent = 0
    for number = 1, 3 do
        if clerk and process.send(clerk, "work", "e" .. number) then
            sent = sent + 1
        end
    end
    if not clerk or not process.send(clerk, "stop") then
        return true
    end
    while true do
        local event = events:receive()
        if event.kind == process.event.EXIT and event.from == clerk then
            local booked = event.result.value
            if not event.result.error and booked and booked < sent then
                error(sent .. " entries were sent before the stop, " .. booked .. " are booked")
            end
            return true
        end
    end
end
