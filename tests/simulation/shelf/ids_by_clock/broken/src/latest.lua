local store = require("store")

return function()
    local items = store.get("app:log"):list({ prefix = "entry:", limit = 1000 }).items
    return #items > 0 and items[#items].value or nil
end
