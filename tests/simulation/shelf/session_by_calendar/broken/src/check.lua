local store = require("store")
local time = require("time")

return function(user)
    local session = store.get("app:sessions"):get("session:" .. user)
    return session ~= nil and time.now():unix() < session.ends and "in" or "out"
end
