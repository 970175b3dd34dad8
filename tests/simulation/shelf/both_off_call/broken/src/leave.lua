local sql = require("sql")

return function(name)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, read_err = db:query("SELECT name FROM doctors WHERE on_call = 1 AND name <> ?", { name })
    if read_err then
        return nil, read_err
    elseif #rows == 0 then
        return "stay"
    end
    local _, write_err = db:execute("UPDATE doctors SET on_call = 0 WHERE name = ?", { name })
    return not write_err and "go" or nil, write_err
end
