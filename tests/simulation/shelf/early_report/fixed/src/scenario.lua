local funcs = require("funcs")

return function()
    local count = funcs.call("app:report", 3)
    if count and count < 3 then
        error("the report has " .. count .. " of 3 numbers")
    end
end
