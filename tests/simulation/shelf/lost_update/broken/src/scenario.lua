local funcs = require("funcs")
local store = require("store")

return function()
    local futures = {}
    for number = 1, 4 do
        futures[number] = funcs.async("app:increase")
    end
    local done = 0
    for _, future in ipairs(futures) do
        if future:await() then
            done = done + 1
        end
    end
    local count = store.get("app:counters"):get("visits") or 0
    if count < done then
        error("visits: " .. count .. ", but " .. done .. " increases were confirmed")
    end
end
