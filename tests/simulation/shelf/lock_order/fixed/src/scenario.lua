return function()
    local events = process.events()
    local left = 0
    for _, way in ipairs({ { "alice", "bob" }, { "bob", "alice" } }) do
        if process.spawn_monitored("app:transfer", "app:processes", way[1], way[2]) then
            left = left + 1
        end
    end
    while left > 0 do -- a transfer may fail; it must not wait for ever
        local event = events:receive()
        if event.kind == process.event.EXIT then
            left = left - 1
        end
    end
end
