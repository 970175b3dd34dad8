local sql = require("sql")
local time = require("time")

return function(id)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local write_err
    for try = 1, 5 do
        _, write_err = db:execute("INSERT OR IGNORE INTO sales (id) VALUES (?)", { id })
        if not write_err then
            return true
        end
        time.sleep(100 * try .. "ms")
    end
    return nil, write_err
end
