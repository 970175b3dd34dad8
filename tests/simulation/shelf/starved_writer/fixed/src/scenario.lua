local time = require("time")

-- Two minutes of readers, a new one every two seconds; each stays for three. A writer comes after the first few.
local READERS <const> = 60

return function()
    local events = process.events()
    local writer, readers_done = nil, 0
    for number = 1, READERS do
        local pid = process.spawn_monitored("app:visitor", "app:processes", "reader")
        if number == 5 then
            writer = process.spawn_monitored("app:visitor", "app:processes", "writer")
        end
        local pause = time.after("2s")
        while true do
            local ready = channel.select { events:case_receive(), pause:case_receive() }
            if ready.channel == pause then
                break
            end
            if ready.value.kind == process.event.EXIT then
                if ready.value.from == writer then
                    return true
                end
                readers_done = readers_done + 1
            end
        end
        if readers_done >= 45 then
            error(readers_done .. " readers came and went while a writer waited")
        end
        if not pid and not writer then
            return true
        end
    end
    return true -- so few got through that nobody was preferred
end
