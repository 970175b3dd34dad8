local funcs = require("funcs")
local store = require("store")
local time = require("time")

return function()
    local wanted = {}
    for number = 1, 3 do
        if funcs.call("app:submit", "j" .. number, "text " .. number) then
            table.insert(wanted, "j" .. number)
        end
    end
    time.sleep("5m")
    for _, id in ipairs(wanted) do
        if not store.get("app:jobs"):has("printed:" .. id) then
            error("job " .. id .. " was taken, and never printed")
        end
    end
end
