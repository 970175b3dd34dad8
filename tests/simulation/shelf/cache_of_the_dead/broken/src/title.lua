local sql = require("sql")
local store = require("store")

return function()
    local cache = store.get("app:cache")
    local title = cache:get("title")
    if title then
        return title
    end
    local db, err = sql.get("app:db")
    local rows, read_err
    if not err then
        rows, read_err = db:query("SELECT title FROM book")
    end
    if err or read_err then
        return nil, err or read_err
    end
    cache:set("title", rows[1].title)
    return rows[1].title
end
