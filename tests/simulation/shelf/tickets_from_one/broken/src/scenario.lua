local funcs = require("funcs")

return function()
    local given = {}
    for _ = 1, 8 do
        local number = funcs.call("app:ticket")
        if number and given[number] then
            error("ticket " .. number .. " was given twice")
        elseif number then
            given[number] = true
        end
    end
end
