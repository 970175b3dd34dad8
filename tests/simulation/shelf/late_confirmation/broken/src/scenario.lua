local funcs = require("funcs")
local store = require("store")
local time = require("time")

return function()
    for number = 1, 3 do
        funcs.call("app:hold", "guest " .. number)
        time.sleep("25s")
    end
    time.sleep("3m")
    local tickets = store.get("app:rooms"):list({ prefix = "ticket:" }).items
    if #tickets > 1 then
        error(#tickets .. " guests have a ticket for one room")
    end
end
