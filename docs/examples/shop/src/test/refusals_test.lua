local funcs = require("funcs")
local setup = require("setup")

local BAD = {
    { why = "no customer", order = { items = { { sku = "tea", quantity = 1 } } }, kind = errors.INVALID },
    { why = "no items", order = { customer = "x", items = {} }, kind = errors.INVALID },
    { why = "half a cup", order = { customer = "x", items = { { sku = "cup", quantity = 1.5 } } }, kind = errors.INVALID },
    { why = "unknown product", order = { customer = "x", items = { { sku = "no", quantity = 1 } } }, kind = errors.INVALID },
    { why = "too many", order = { customer = "x", items = { { sku = "pot", quantity = 8 } } }, kind = errors.CONFLICT },
    {
        why = "unknown discount",
        order = { customer = "x", items = { { sku = "tea", quantity = 1 } }, discount = "nope" },
        kind = errors.INVALID,
    },
}

local function main()
    setup.wait_for_database()
    for _, case in ipairs(BAD) do
        local placed, err = funcs.call("app.orders:place", case.order)
        setup.equal(placed, nil, case.why)
        setup.equal(err:kind(), case.kind, case.why .. " (" .. err:message() .. ")")
    end
    return true
end

return { main = main }
