local sql = require("sql")

local LEAVE <const> = [[
    UPDATE doctors SET on_call = 0 WHERE name = ?
    AND EXISTS (SELECT 1 FROM doctors WHERE on_call = 1 AND name <> ?) RETURNING name
]]

return function(name)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, write_err = db:query(LEAVE, { name, name })
    if write_err then
        return nil, write_err
    end
    return #rows == 1 and "go" or "stay"
end
