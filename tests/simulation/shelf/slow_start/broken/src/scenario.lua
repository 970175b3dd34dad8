local fs = require("fs")
local funcs = require("funcs")
local store = require("store")
local time = require("time")

return function()
    assert(fs.get("app:disk"):writefile("/mode", "automatic"))
    local future = funcs.async("app:start")
    local state = store.get("app:state")
    for _ = 1, 60 do -- as soon as it runs, somebody takes over
        if state:has("started") then
            break
        end
        time.sleep("1s")
    end
    state:set("mode", "by hand")
    future:await()
    if state:get("mode") ~= "by hand" then
        error("set by hand, and " .. tostring(state:get("mode")) .. " again by itself")
    end
end
