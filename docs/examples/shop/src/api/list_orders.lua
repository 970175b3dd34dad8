local http = require("http")
local orders = require("orders")
local reply = require("reply")

local function handler()
    local req = http.request()
    local limit = tonumber(req:query("limit") or "50")
    if not limit or limit < 1 or limit > 200 or limit ~= math.floor(limit) then
        return reply.fail(errors.new({ message = "limit is a number from 1 to 200", kind = errors.INVALID }))
    end
    local found, err = orders.list(req:query("status"), limit)
    if err then
        return reply.fail(err)
    end
    reply.json(http.STATUS.OK, { orders = found, count = #found })
end

return { handler = handler }
