local funcs = require("funcs")
local store = require("store")

return function()
    local paid = {}
    for number = 1, 4 do
        funcs.call("app:pay", "invoice " .. number)
    end
    for _, item in ipairs(store.get("app:books"):list({ prefix = "booked:" }).items) do
        if paid[item.value] then
            error(item.value .. " was paid twice")
        end
        paid[item.value] = true
    end
end
