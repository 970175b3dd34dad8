local funcs = require("funcs")
local store = require("store")
local time = require("time")

return function()
    for number = 1, 4 do
        funcs.call("app:order", "tea " .. number)
    end
    time.sleep("2m")
    for _, item in ipairs(store.get("app:books"):list({ prefix = "orders:" }).items) do
        if item.value > 1 then
            error(item.key .. " was taken by " .. item.value .. " shops")
        end
    end
end
