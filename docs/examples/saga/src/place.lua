local io = require("io")

local function main(id: string, count: string, total: string)
    local order = { id = id, items = { count = tonumber(count) }, total = tonumber(total) }
    local options = { ["temporal.workflow.id"] = "order-" .. id }
    local _, err = process.with_options(options):spawn("app:order", "wippy:workflows", order)
    if err then
        return nil, err
    end
    io.print("placed: order-" .. id)
    return 0
end

return { main = main }
