return function()
    local events = process.events()
    local left = 0
    for _ = 1, 3 do
        if process.spawn_monitored("app:holder", "app:processes") then
            left = left + 1
        end
    end
    while left > 0 do -- each may fail; none must wait for ever
        if events:receive().kind == process.event.EXIT then
            left = left - 1
        end
    end
end
