local funcs = require("funcs")
local time = require("time")

return function()
    local inside = funcs.call("app:login", "eve")
    for _ = 1, 5 do
        time.sleep("20s")
        if inside and funcs.call("app:check", "eve") == "out" then
            error("logged out after less than five minutes of thirty")
        end
    end
end
