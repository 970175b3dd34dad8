local funcs = require("funcs")
local http = require("http")
local reply = require("reply")
local uuid = require("uuid")

local function handler()
    local body, body_err = reply.body()
    if body_err then
        return reply.fail(body_err)
    end
    -- What is said here is known to every function that is called from here on.
    local request_id = http.request():header("X-Request-ID") or uuid.v4()
    local order, err = funcs.new():with_context({ request_id = request_id }):call("app.orders:place", body)
    if err then
        return reply.fail(err)
    end
    local res = http.response()
    res:set_header("X-Request-ID", request_id)
    res:set_header("Location", "/api/orders/" .. order.id)
    reply.json(http.STATUS.CREATED, order)
end

return { handler = handler }
