local fs = require("fs")
local json = require("json")

local settings = {}

-- A file's values, or nothing when it is not whole; an error when it cannot be read at all.
local function read(name)
    local volume = fs.get("app:disk")
    local there, exists_err = volume:exists(name)
    if exists_err then
        return nil, exists_err
    elseif not there then
        return nil
    end
    local text, err = volume:readfile(name)
    if err then
        return nil, err
    end
    local body = text:match("^(.*)\nend\n$")
    return body and json.decode(body)
end

local function both()
    local first, first_err = read("/settings.a")
    if first_err then
        return nil, nil, first_err
    end
    local second, second_err = read("/settings.b")
    return first, second, second_err
end

function settings.save(values)
    local first, second, err = both()
    if err then
        return nil, err
    end
    local newest = math.max(first and first.version or 0, second and second.version or 0)
    local name = first and first.version == newest and "/settings.b" or "/settings.a"
    local file, open_err = fs.get("app:disk"):open(name, "w")
    if open_err then
        return nil, open_err
    end
    local text = json.encode({ version = newest + 1, values = values }) .. "\nend\n"
    local _, write_err = file:write(text)
    if not write_err then
        _, write_err = file:sync()
    end
    file:close()
    if write_err then
        return nil, write_err
    end
    return true
end

function settings.load()
    local first, second, err = both()
    if err then
        return nil, err
    end
    if first and (not second or first.version > second.version) then
        return first.values
    end
    return second and second.values, not second and errors.new("no settings") or nil
end

return settings
