local fs = require("fs")

return function()
    local volume = fs.get("app:disk")
    local text, read_err = volume:readfile("/tickets")
    if read_err and read_err:kind() ~= errors.NOT_FOUND then
        return nil, read_err
    end
    local _, given = (text or ""):gsub("\n", "\n")
    local file, err = volume:open("/tickets", "a")
    if err then
        return nil, err
    end
    local _, write_err = file:write("t\n")
    if not write_err then
        _, write_err = file:sync()
    end
    file:close()
    if write_err then
        return nil, write_err
    end
    return given + 1
end
