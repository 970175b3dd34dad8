local sql = require("sql")

return function(cents)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, write_err = db:query("UPDATE account SET cents = cents - ? WHERE cents >= ? RETURNING cents", { cents, cents })
    if write_err then
        return nil, write_err
    end
    return #rows == 1 and "done" or "too little"
end
