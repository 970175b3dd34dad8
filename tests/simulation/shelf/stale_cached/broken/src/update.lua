local sql = require("sql")
local store = require("store")

return function(cents)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local _, write_err = db:execute("UPDATE prices SET cents = ? WHERE sku = 'tea'", { cents })
    store.get("app:cache"):delete("tea")
    return not write_err, write_err
end
