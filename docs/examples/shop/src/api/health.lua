local database = require("database")
local http = require("http")
local reply = require("reply")

local function handler()
    if database.ready() then
        reply.json(http.STATUS.OK, { status = "ok" })
    else
        reply.json(http.STATUS.SERVICE_UNAVAILABLE, { status = "starting" })
    end
end

return { handler = handler }
