local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE accounts (name TEXT PRIMARY KEY, cents INTEGER NOT NULL)"))
    assert(db:execute("INSERT INTO accounts (name, cents) VALUES ('alice', 100), ('bob', 100)"))
    for _ = 1, 4 do
        funcs.call("app:transfer", "alice", "bob", 10)
    end
end
