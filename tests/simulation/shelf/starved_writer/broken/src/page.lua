-- Many may read the page at once; who writes it must be alone.
return function()
    process.registry.register("page")
    local inbox, events = process.inbox(), process.events()
    local queue, inside = {}, {}

    local function alone()
        return next(inside) == nil
    end

    local function admit()
        local rest = {}
        for _, one in ipairs(queue) do
            local free = alone() or one.role == "reader" and inside.role == "reader"
            if free and process.monitor(one.pid) then
                inside.role = one.role
                inside.count = (inside.count or 0) + 1
                process.send(one.pid, "enter")
            elseif not free then
                table.insert(rest, one)
            end
        end
        queue = rest
    end

    local function leave()
        inside.count = inside.count - 1
        if inside.count == 0 then
            inside = {}
        end
    end

    while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == inbox then
            table.insert(queue, { pid = ready.value:from(), role = ready.value:topic() })
        elseif ready.value.kind == process.event.CANCEL then
            return
        elseif ready.value.kind == process.event.EXIT then
            leave()
        end
        admit()
    end
end
