local http = require("http")

local function main()
    local body = http.request():body_json()
    local ok, err = process.send(body.pid, "bump", { n = body.n })
    local res = http.response()
    res:set_status(ok and 200 or 503)
    res:write_json({ ok = ok, error = err and tostring(err) })
end

return { main = main }
