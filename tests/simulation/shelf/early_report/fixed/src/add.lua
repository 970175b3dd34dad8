local store = require("store")

return function(number)
    return store.get("app:totals"):set("number:" .. number, number)
end
