local sql = require("sql")

return function(text)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    return db:execute("INSERT INTO log (text) VALUES (?)", { text })
end
