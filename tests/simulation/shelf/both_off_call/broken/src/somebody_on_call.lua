local sql = require("sql")

return function()
    local db = sql.get("app:db")
    return assert(db:query("SELECT COUNT(*) AS count FROM doctors WHERE on_call = 1"))[1].count > 0
end
