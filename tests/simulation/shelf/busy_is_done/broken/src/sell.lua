local sql = require("sql")

return function(id)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local _, write_err = db:execute("INSERT OR IGNORE INTO sales (id) VALUES (?)", { id })
    if write_err and not tostring(write_err):find("locked", 1, true) then
        return nil, write_err
    end
    return true
end
