return function()
    process.registry.register("lock")
    local inbox, events = process.inbox(), process.events()
    local waiting, holder = {}, nil
    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
            if ready.value.kind == process.event.CANCEL then
                return
            elseif ready.value.from == holder then
                holder = nil
            end
        elseif ready.value:topic() == "acquire" then
            table.insert(waiting, ready.value:from())
        elseif ready.value:from() == holder then
            process.unmonitor(holder)
            holder = nil
        end
        while not holder and #waiting > 0 do
            local pid = table.remove(waiting, 1)
            if process.monitor(pid) then
                holder = pid
                process.send(pid, "granted")
            end
        end
    end
end
