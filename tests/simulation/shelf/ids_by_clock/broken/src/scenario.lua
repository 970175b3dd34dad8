local funcs = require("funcs")
local time = require("time")

return function()
    local last
    for number = 1, 6 do
        if funcs.call("app:write", number) then
            last = number
        end
        time.sleep("1s")
        local latest = funcs.call("app:latest")
        if last and latest and latest < last then
            error("entry " .. last .. " was written last, " .. latest .. " is shown")
        end
    end
end
