local store = require("store")
local time = require("time")

return function(user)
    return store.get("app:sessions"):set("session:" .. user, { ends = time.now():unix() + 1800 })
end
