return function()
    local inbox, events = process.inbox(), process.events()
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
        process.send(ready.value:from(), "pong")
    end
end
