local http = require("http")
local orders = require("orders")
local reply = require("reply")

local function handler()
    local id = tonumber(http.request():param("id"))
    if not id or id ~= math.floor(id) then
        return reply.fail(errors.new({ message = "an order's id is a number", kind = errors.INVALID }))
    end
    local order, err = orders.get(id)
    if err then
        return reply.fail(err)
    end
    reply.json(http.STATUS.OK, order)
end

return { handler = handler }
