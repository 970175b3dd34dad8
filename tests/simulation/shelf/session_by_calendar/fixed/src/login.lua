local store = require("store")

return function(user)
    return store.get("app:sessions"):set("session:" .. user, { since = "now" }, 1800)
end
