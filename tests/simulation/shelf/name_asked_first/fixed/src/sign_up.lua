local sql = require("sql")

local INSERT <const> = [[
    INSERT INTO users (name) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM users WHERE name = ?) RETURNING id
]]

return function(name)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, write_err = db:query(INSERT, { name, name })
    if write_err then
        return nil, write_err
    end
    return #rows == 1 and "welcome" or "taken"
end
