local sql = require("sql")

local database = {}

-- Calls work(db) with a connection and gives the connection back, whatever happens.
function database.with(work: (any) -> (any, any)): (any, any)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local ok, value, problem = pcall(work, db)
    db:release()
    if not ok then
        return nil, value
    end
    return value, problem
end

-- Calls work(tx) in a transaction: all that it wrote stays, or, when it returns an error or raises, nothing of it.
function database.transaction(work: (any) -> (any, any)): (any, any)
    return database.with(function(db)
        local tx, err = db:begin()
        if err then
            return nil, err
        end
        local ok, value, problem = pcall(work, tx)
        if not ok or problem then
            tx:rollback()
            return nil, problem or value
        end
        local _, commit_err = tx:commit()
        if commit_err then
            return nil, commit_err
        end
        return value, nil
    end)
end

-- Whether the migrations have run.
function database.ready(): boolean
    local rows, err = database.with(function(db)
        return db:query("SELECT COUNT(*) AS count FROM pragma_table_info('orders') WHERE name = 'request_key'")
    end)
    return err == nil and rows[1].count == 1
end

return database
