local events = require("events")
local http = require("http")
local reply = require("reply")
local time = require("time")

-- Server-Sent Events: every order event, until the client is gone.
local function handler()
    local subscription, err = events.subscribe("orders")
    if err then
        return reply.fail(err)
    end
    local channel_of_orders = subscription:channel()
    local res = http.response()
    res:set_transfer(http.TRANSFER.SSE)
    res:write_event({ name = "ready", data = {} })
    res:flush()
    while true do
        local heartbeat = time.after("15s")
        local result = channel.select {
            channel_of_orders:case_receive(),
            heartbeat:case_receive(),
        }
        local _, gone
        if result.channel == heartbeat then
            _, gone = res:write_event({ name = "heartbeat", data = {} })
        elseif not result.ok then
            break
        else
            _, gone = res:write_event({ name = result.value.kind, data = result.value.data })
        end
        if gone then
            break
        end
        res:flush()
    end
    subscription:close()
end

return { handler = handler }
