local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE doctors (name TEXT PRIMARY KEY, on_call INTEGER NOT NULL)"))
    assert(db:execute("INSERT INTO doctors (name, on_call) VALUES ('ann', 1), ('ben', 1)"))
    local ann, ben = funcs.async("app:leave", "ann"), funcs.async("app:leave", "ben")
    ann:await()
    ben:await()
end
