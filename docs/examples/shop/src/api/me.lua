local http = require("http")
local reply = require("reply")
local security = require("security")

local function handler()
    local actor = security.actor()
    reply.json(http.STATUS.OK, {
        id = actor:id(),
        role = actor:meta().role,
        may_create_discounts = security.can("access", "app.api:create_discount.endpoint"),
    })
end

return { handler = handler }
