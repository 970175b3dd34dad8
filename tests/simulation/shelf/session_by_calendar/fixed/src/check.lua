local store = require("store")

return function(user)
    return store.get("app:sessions"):has("session:" .. user) and "in" or "out"
end
