local registry = require("registry")
local store = require("store")
local database = require("database")

local KEY = "products"

-- Returns {products, cached}.
local function main(): (any, any)
    local cache, err = store.get("app:cache")
    if err then
        return nil, err
    end
    local known = cache:get(KEY)
    if known then
        cache:release()
        return { products = known, cached = true }, nil
    end
    local rows, query_err = database.with(function(db)
        return db:query("SELECT sku, title, price_cents, stock FROM products ORDER BY sku")
    end)
    if query_err then
        cache:release()
        return nil, query_err
    end
    local settings = registry.get("app:settings")
    cache:set(KEY, rows, settings.data.products_ttl_s)
    cache:release()
    return { products = rows, cached = false }, nil
end

return { main = main }
