local funcs = require("funcs")
local store = require("store")

return function()
    local first, second = funcs.async("app:key"), funcs.async("app:key")
    local keys = { first:await() or false, second:await() or false }
    local real = store.get("app:vault"):get("key")
    for number, key in ipairs(keys) do
        if key and key ~= real then
            error("caller " .. number .. " got a key that opens nothing")
        end
    end
end
