local fs = require("fs")

return function(text)
    local file, err = fs.get("app:disk"):open("/notes.txt", "a")
    if err then
        return nil, err
    end
    local _, write_err = file:write(text .. "\n")
    if not write_err then
        _, write_err = file:sync()
    end
    file:close()
    if write_err then
        return nil, write_err
    end
    return true
end
