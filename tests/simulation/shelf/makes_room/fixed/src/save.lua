local fs = require("fs")

local function write(volume, number)
    local file, open_err = volume:open("/page." .. number, "w")
    if open_err then
        return open_err
    end
    local _, err = file:write("page " .. number .. string.rep(" word", 300) .. " end")
    if not err then
        _, err = file:sync()
    end
    file:close()
    return err
end

return function(number)
    local err = write(fs.get("app:disk"), number)
    if err then
        return nil, err
    end
    return true
end
