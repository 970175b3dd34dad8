local http = require("http")

local function main()
    local body = http.request():body_json()
    local pid, err = process
        .with_options({ ["temporal.workflow.id"] = body.id, ["temporal.workflow.id_reuse_policy"] = "reject_duplicate" })
        :spawn("app:job", "app:worker", { id = body.id })
    local res = http.response()
    res:set_status(err and 503 or 200)
    res:write_json({ pid = pid, error = err and tostring(err) })
end

return { main = main }
