return function()
    process.registry.register("lock")
    local inbox, events = process.inbox(), process.events()
    local waiting, holder = {}, nil
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            if ready.value.kind == process.event.CANCEL then
                return
            end
        elseif ready.value:topic() == "acquire" then
            table.insert(waiting, ready.value:from())
        else
            holder = nil
        end
        while not holder and #waiting > 0 do
            local pid = table.remove(waiting, 1)
            if process.send(pid, "granted") then
                holder = pid
            end
        end
    end
end
