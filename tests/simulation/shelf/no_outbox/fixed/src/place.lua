local sql = require("sql")

return function(id)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local tx, begin_err = db:begin()
    if begin_err then
        return nil, begin_err
    end
    for _, statement in ipairs({ "INSERT INTO orders (id) VALUES (?)", "INSERT INTO outbox (id) VALUES (?)" }) do
        local _, write_err = tx:execute(statement, { id })
        if write_err then
            tx:rollback()
            return nil, write_err
        end
    end
    return tx:commit()
end
