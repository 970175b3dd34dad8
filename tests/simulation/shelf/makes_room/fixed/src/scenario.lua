local funcs = require("funcs")
local time = require("time")

return function()
    local saved = 0
    for number = 1, 5 do
        if funcs.call("app:save", number) then
            saved = number
        end
    end
    local newest
    for _ = 1, 20 do -- faults are few
        newest = funcs.call("app:load", 5)
        if newest then
            break
        end
        time.sleep("10s")
    end
    if saved > 0 and (not newest or newest < saved) then
        error("page " .. saved .. " was saved, and there is " .. tostring(newest))
    end
end
