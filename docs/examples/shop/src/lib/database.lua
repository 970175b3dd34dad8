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

-- Whether the migrations have run.
function database.ready(): boolean
    local rows, err = database.with(function(db)
        return db:query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'orders'")
    end)
    return err == nil and #rows == 1
end

return database
