local funcs = require("funcs")
local registry = require("registry")

local SOURCE = [[
local function main(total_cents: number): number
    return total_cents - total_cents * %d // 100
end

return { main = main }
]]

type NewDiscount = { name: string @min_len(1) @max_len(40), percent: number @min(1) @max(90) }

local function invalid(message: string)
    return errors.new({ message = message, kind = errors.INVALID })
end

local function main(input: any): (any, any)
    local wanted, err = NewDiscount:is(input)
    if err then
        return nil, invalid("a discount has a name and a percent from 1 to 90: " .. tostring(err))
    end
    if not wanted.name:match("^[a-z][a-z0-9_]*$") then
        return nil, invalid("a name is lower case letters, digits and underscores")
    end
    if wanted.percent ~= math.floor(wanted.percent) then
        return nil, invalid("percent is a whole number")
    end

    local id = "app.discounts:" .. wanted.name
    local entry = {
        id = id,
        kind = "function.lua",
        meta = { type = "discount", percent = wanted.percent },
        data = { source = string.format(SOURCE, wanted.percent), method = "main" },
    }
    local snapshot, snap_err = registry.snapshot()
    if snap_err then
        return nil, snap_err
    end
    local changes = snapshot:changes()
    if snapshot:get(id) then
        changes:update(entry)
    else
        changes:create(entry)
    end
    local version, apply_err = changes:apply()
    if apply_err then
        return nil, apply_err
    end

    local example, call_err = funcs.call(id, 10000)
    if call_err then
        return nil, call_err
    end
    return { id = id, percent = wanted.percent, version = version:id(), ten_thousand_becomes = example }, nil
end

return { main = main }
