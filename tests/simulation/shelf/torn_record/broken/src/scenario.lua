local funcs = require("funcs")
local time = require("time")

return function()
    local confirmed = {}
    for number = 1, 12 do
        if process.exec("app:append", "app:processes", number) then
            table.insert(confirmed, number)
        end
    end
    local numbers
    for _ = 1, 20 do -- faults are few
        numbers = funcs.call("app:read")
        if numbers then
            break
        end
        time.sleep("10s")
    end
    if not numbers then
        error("the journal cannot be read")
    end
    for _, number in ipairs(confirmed) do
        if not numbers[tostring(number)] then
            error("record " .. number .. " was confirmed, and is lost")
        end
    end
end
