local queue = require("queue")
local sql = require("sql")

return function(id)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local _, write_err = db:execute("INSERT INTO orders (id) VALUES (?)", { id })
    if write_err then
        return nil, write_err
    end
    return queue.publish("app:orders", { id = id })
end
