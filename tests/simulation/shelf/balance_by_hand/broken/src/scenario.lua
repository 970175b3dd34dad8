local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE account (cents INTEGER NOT NULL)"))
    assert(db:execute("INSERT INTO account (cents) VALUES (100)"))
    local futures, paid = {}, 0
    for number = 1, 3 do
        futures[number] = funcs.async("app:withdraw", 40)
    end
    for _, future in ipairs(futures) do
        if future:await() == "done" then
            paid = paid + 40
        end
    end
    local left = assert(db:query("SELECT cents FROM account"))[1].cents
    if left > 100 - paid then
        error(paid .. " of 100 were paid out, " .. left .. " are left")
    end
end
