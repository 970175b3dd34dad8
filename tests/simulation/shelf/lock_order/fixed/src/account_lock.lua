-- One holder at a time, the others in order; a holder that ends without a word gives the lock back.
return function()
    local inbox, events = process.inbox(), process.events()
    local waiting, holder = {}, nil

    local function grant()
        while not holder and #waiting > 0 do
            local next_one = table.remove(waiting, 1)
            if process.monitor(next_one) then
                holder = next_one
                process.send(next_one, "granted", process.pid())
            end
        end
    end

    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == inbox then
            if ready.value:topic() == "acquire" then
                table.insert(waiting, ready.value:from())
            elseif holder == ready.value:from() then
                process.unmonitor(holder)
                holder = nil
            end
        elseif ready.value.kind == process.event.CANCEL then
            return
        elseif ready.value.kind == process.event.EXIT and ready.value.from == holder then
            holder = nil
        end
        grant()
    end
end
