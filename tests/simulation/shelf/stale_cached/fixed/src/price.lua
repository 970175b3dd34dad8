local sql = require("sql")
local store = require("store")
local time = require("time")

return function()
    local cache = store.get("app:cache")
    local cents = cache:get("tea")
    if cents then
        return cents
    end
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, read_err = db:query("SELECT cents FROM prices WHERE sku = 'tea'")
    if read_err then
        return nil, read_err
    end
    time.sleep("2ms") -- a discount is reckoned
    cache:put("tea", rows[1].cents, { only_if_absent = true, ttl = 30 })
    return rows[1].cents
end
