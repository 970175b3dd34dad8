local funcs = require("funcs")
local store = require("store")
local setup = require("setup")

local function main()
    setup.wait_for_database()
    local cache = store.get("app:cache")
    cache:delete("products")
    cache:release()
    local first = funcs.call("app.catalog:products")
    local second = funcs.call("app.catalog:products")
    setup.equal(first.cached, false, "first")
    setup.equal(second.cached, true, "second")
    setup.equal(#second.products, 3, "products")
    return true
end

return { main = main }
