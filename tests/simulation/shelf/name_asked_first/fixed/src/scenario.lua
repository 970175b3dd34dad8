local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
    local first, second = funcs.async("app:sign_up", "eve"), funcs.async("app:sign_up", "eve")
    first:await()
    second:await()
    local count = assert(db:query("SELECT COUNT(*) AS count FROM users WHERE name = 'eve'"))[1].count
    if count > 1 then
        error(count .. " users are called eve")
    end
end
