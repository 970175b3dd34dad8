local http = require("http")

local function handler()
    local name = http.request():param("name")
    local res = http.response()
    res:set_status(http.STATUS.OK)
    res:write_json({ greeting = "Hello, " .. name .. "!" })
end

return { handler = handler }
