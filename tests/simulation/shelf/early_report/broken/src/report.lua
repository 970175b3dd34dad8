local funcs = require("funcs")
local store = require("store")

return function(count)
    for number = 1, count do
        funcs.async("app:add", number)
    end
    local items = store.get("app:totals"):list({ prefix = "number:" }).items
    return #items
end
