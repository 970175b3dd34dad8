local sql = require("sql")

return function(from, to, cents)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local tx, begin_err = db:begin()
    if begin_err then
        return nil, begin_err
    end
    local _, take_err = tx:execute("UPDATE accounts SET cents = cents - ? WHERE name = ?", { cents, from })
    local _, give_err = tx:execute("UPDATE accounts SET cents = cents + ? WHERE name = ?", { cents, to })
    if take_err or give_err then
        tx:rollback()
        return nil, take_err or give_err
    end
    return tx:commit()
end
