local sql = require("sql")

return function(from, to, cents)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local _, take_err = db:execute("UPDATE accounts SET cents = cents - ? WHERE name = ?", { cents, from })
    if take_err then
        return nil, take_err
    end
    local _, give_err = db:execute("UPDATE accounts SET cents = cents + ? WHERE name = ?", { cents, to })
    if give_err then
        return nil, give_err
    end
    return true
end
