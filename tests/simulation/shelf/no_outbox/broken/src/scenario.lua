local funcs = require("funcs")
local sql = require("sql")
local store = require("store")
local time = require("time")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE orders (id TEXT PRIMARY KEY)"))
    assert(db:execute("CREATE TABLE outbox (id TEXT PRIMARY KEY)"))
    for number = 1, 4 do
        funcs.call("app:place", "o" .. number)
    end
    time.sleep("3m")
    for _, row in ipairs(assert(db:query("SELECT id FROM orders"))) do
        if not store.get("app:sent"):has("sent:" .. row.id) then
            error("order " .. row.id .. " is stored, and was never sent")
        end
    end
end
