local fs = require("fs")

-- The number of the newest page that is whole, 0 without one.
return function(most)
    local volume = fs.get("app:disk")
    for number = most, 1, -1 do
        local text, err = volume:readfile("/page." .. number)
        if text and text:match(" end$") then
            return number
        elseif err and err:kind() ~= errors.NOT_FOUND then
            return nil, err
        end
    end
    return 0
end
