local funcs = require("funcs")
local store = require("store")

return function(count)
    local futures = {}
    for number = 1, count do
        futures[number] = funcs.async("app:add", number)
    end
    for _, future in ipairs(futures) do
        local _, err = future:await()
        if err then
            return nil, err
        end
    end
    local items = store.get("app:totals"):list({ prefix = "number:" }).items
    return #items
end
