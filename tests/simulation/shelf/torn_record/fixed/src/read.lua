local fs = require("fs")
local json = require("json")

return function()
    local numbers = {}
    local volume = fs.get("app:disk")
    if not volume:exists("/journal") then
        return numbers
    end
    local text, err = volume:readfile("/journal")
    if err then
        return nil, err
    end
    for line in text:gmatch("[^\n]+") do
        local record = json.decode(line)
        if record then
            numbers[tostring(record.number)] = true
        end
    end
    return numbers
end
