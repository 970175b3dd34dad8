local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE sales (id TEXT PRIMARY KEY)"))
    local confirmed = 0
    for number = 1, 5 do
        if funcs.call("app:sell", "s" .. number) then
            confirmed = confirmed + 1
        end
    end
    local rows = assert(db:query("SELECT COUNT(*) AS count FROM sales"))
    if rows[1].count < confirmed then
        error(confirmed .. " sales were confirmed, " .. rows[1].count .. " are kept")
    end
end
