-- Makes the tables at the first question.
local http = require("http")
local sql = require("sql")

local function main()
    local db, err = sql.get("app:effects")
    for _, text in ipairs({
        "CREATE TABLE IF NOT EXISTS effects (id text, step text)",
        "CREATE TABLE IF NOT EXISTS results (id text, result text)",
    }) do
        if not err then
            _, err = db:execute(text)
        end
    end
    local res = http.response()
    res:set_status(err and 503 or 200)
    res:write_json({ error = err and tostring(err) })
end

return { main = main }
