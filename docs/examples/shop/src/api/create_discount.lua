local funcs = require("funcs")
local http = require("http")
local reply = require("reply")

local function handler()
    local body, body_err = reply.body()
    if body_err then
        return reply.fail(body_err)
    end
    local made, err = funcs.call("app.catalog:create_discount", body)
    if err then
        return reply.fail(err)
    end
    reply.json(http.STATUS.CREATED, made)
end

return { handler = handler }
