local io = require("io")
local orders = require("orders")

local function main(limit: string?)
    local found, err = orders.list(nil, tonumber(limit or "10") or 10)
    if err then
        return nil, err
    end
    if #found == 0 then
        io.print("no orders yet")
        return 0
    end
    for _, order in ipairs(found) do
        local line = string.format("%5d  %-7s %9.2f  %s", order.id, order.status, order.total_cents / 100, order.customer)
        io.print(line)
    end
    return 0
end

return { main = main }
