local fs = require("fs")
local json = require("json")

local settings = {}

function settings.save(values)
    local done, err = fs.get("app:disk"):writefile("/settings.json", json.encode(values))
    if not done then
        return nil, err
    end
    return true
end

function settings.load()
    local text, err = fs.get("app:disk"):readfile("/settings.json")
    if err then
        return nil, err
    end
    return json.decode(text)
end

return settings
