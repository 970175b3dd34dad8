local sql = require("sql")
local store = require("store")

return function(title)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local _, write_err = db:execute("UPDATE book SET title = ?", { title })
    if write_err then
        return nil, write_err
    end
    return store.get("app:cache"):delete("title")
end
