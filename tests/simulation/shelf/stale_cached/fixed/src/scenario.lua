local funcs = require("funcs")
local sql = require("sql")
local time = require("time")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE prices (sku TEXT PRIMARY KEY, cents INTEGER NOT NULL)"))
    assert(db:execute("INSERT INTO prices (sku, cents) VALUES ('tea', 100)"))
    local price, update = funcs.async("app:price"), funcs.async("app:update", 200)
    price:await()
    if not update:await() then
        return true -- it says that it failed
    end
    time.sleep("2m")
    local shown = funcs.call("app:price")
    if shown and shown ~= 200 then
        error("tea costs 200, and is shown at " .. shown)
    end
end
