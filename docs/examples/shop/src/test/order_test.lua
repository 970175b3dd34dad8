local funcs = require("funcs")
local orders = require("orders")
local setup = require("setup")

local function main()
    setup.wait_for_database()
    local customer = "test: order"
    local placed, err = funcs.new()
        :with_context({ request_id = "test" })
        :call("app.orders:place", { customer = customer, items = { { sku = "cup", quantity = 4 } } })
    setup.equal(err, nil, "error")
    setup.equal(placed.total_cents, 5000, "total")
    setup.equal(placed.status, "new", "status")

    setup.until_true("the order is packed", function()
        local order = orders.get(placed.id)
        return order ~= nil and order.status == "packed"
    end)
    orders.remove(customer)
    local _, gone = orders.get(placed.id)
    setup.equal(gone:kind(), errors.NOT_FOUND, "kind of the error")
    return true
end

return { main = main }
