local store = require("store")

return function()
    local counters = store.get("app:counters")
    local count = counters:get("visits") or 0
    return counters:set("visits", count + 1)
end
