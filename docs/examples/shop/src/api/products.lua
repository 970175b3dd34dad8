local funcs = require("funcs")
local http = require("http")
local reply = require("reply")

local function handler()
    local found, err = funcs.call("app.catalog:products")
    if err then
        return reply.fail(err)
    end
    http.response():set_header("X-Cache", found.cached and "hit" or "miss")
    reply.json(http.STATUS.OK, { products = found.products })
end

return { handler = handler }
