local funcs = require("funcs")
local time = require("time")

return function()
    local saved = 0
    for number = 1, 6 do
        if funcs.call("app:save", number) then
            saved = number
        end
        time.sleep("1s")
    end
    local values, err
    for _ = 1, 20 do -- faults are few
        values, err = funcs.call("app:load")
        if values then
            break
        end
        time.sleep("10s")
    end
    if saved > 0 and not values then
        error("settings were saved, and cannot be loaded: " .. tostring(err))
    elseif saved > 0 and values.number < saved then
        error("settings " .. saved .. " were saved, " .. values.number .. " are loaded")
    end
end
