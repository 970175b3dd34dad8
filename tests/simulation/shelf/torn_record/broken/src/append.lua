local fs = require("fs")
local json = require("json")

return function(number)
    local file, err = fs.get("app:disk"):open("/journal", "a")
    if err then
        return nil, err
    end
    local record = { number = number, text = string.rep("n" .. number .. " ", 400) }
    local _, write_err = file:write("\n")
    local text = json.encode(record) .. "\n"
    for at = 1, #text, 600 do
        if not write_err then
            _, write_err = file:write(text:sub(at, at + 599))
        end
    end
    if not write_err then
        _, write_err = file:sync()
    end
    file:close()
    if write_err then
        return nil, write_err
    end
    return true
end
