local store = require("store")
local time = require("time")

return function(number)
    local posts = store.get("app:posts")
    if not process.registry.register("leader") then
        return "follower"
    end
    posts:set("leader:" .. number, true)
    time.sleep("1m")
    posts:delete("leader:" .. number)
    return "leader"
end
