local funcs = require("funcs")
local setup = require("setup")

local function main()
    setup.wait_for_database()
    local total, err = funcs.call("app.orders:price", { { sku = "tea", quantity = 2 }, { sku = "cup", quantity = 1 } })
    setup.equal(err, nil, "error")
    setup.equal(total, 2 * 790 + 1250, "total")
    return true
end

return { main = main }
