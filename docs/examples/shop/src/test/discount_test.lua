local funcs = require("funcs")
local registry = require("registry")

local function main()
    local made, err = funcs.call("app.catalog:create_discount", { name = "test_quarter", percent = 25 })
    assert(not err, tostring(err))
    assert(made.ten_thousand_becomes == 7500, "the new function was called")

    -- Changed while it runs.
    funcs.call("app.catalog:create_discount", { name = "test_quarter", percent = 50 })
    local half = funcs.call("app.discounts:test_quarter", 300)
    assert(half == 150, "expected 150, got " .. tostring(half))

    local entry = registry.get("app.discounts:test_quarter")
    assert(entry.meta.percent == 50)
    local changes = registry.snapshot():changes()
    changes:delete("app.discounts:test_quarter")
    local _, delete_err = changes:apply()
    assert(not delete_err, tostring(delete_err))

    local _, refused = funcs.call("app.catalog:create_discount", { name = "Bad name", percent = 25 })
    assert(refused:kind() == errors.INVALID)
    return true
end

return { main = main }
