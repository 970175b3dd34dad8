-- A job: an effect, a nap, an effect for each signal, an effect that must not happen twice, and the end.
local funcs = require("funcs")
local time = require("time")

local function main(input)
    local bumps = process.listen("bump")
    local id = input.id
    local first, err = funcs.call("app:effect", { id = id, step = "first" })
    if err then
        return nil, err
    end
    time.sleep("5ms")

    local seen = {}
    while true do
        local bump = bumps:receive()
        if bump.n == 0 then
            break
        end
        seen[#seen + 1] = bump.n
        local _, failed = funcs.call("app:effect", { id = id, step = "signal-" .. bump.n })
        if failed then
            return nil, failed
        end
    end

    -- At most once: when the node dies meanwhile it counts as failed, and is not made again.
    local once, lost = funcs.new()
        :with_options({ ["activity.retry_policy"] = { maximum_attempts = 1 } })
        :call("app:effect", { id = id, step = "once" })

    local result = { id = id, first = first, seen = seen, once = lost and "lost" or once }
    local _, failed = funcs.call("app:finish", result)
    if failed then
        return nil, failed
    end
    return result
end

return { main = main }
