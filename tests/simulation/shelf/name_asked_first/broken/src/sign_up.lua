local sql = require("sql")

return function(name)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, read_err = db:query("SELECT id FROM users WHERE name = ?", { name })
    if read_err then
        return nil, read_err
    elseif #rows > 0 then
        return "taken"
    end
    local _, write_err = db:execute("INSERT INTO users (name) VALUES (?)", { name })
    return not write_err and "welcome" or nil, write_err
end
