local json = require("json")
local time = require("time")
local database = require("database")
local orders = require("orders")

local books = {}

-- As the migrations put it there.
books.stock_at_first = { tea = 120, pot = 7, cup = 60 }

-- Asks again until it is so, a second later each time; raises after `limit` seconds of virtual time.
function books.until_true(what: string, limit: number, test: () -> boolean)
    for _ = 1, limit do
        if test() then
            return
        end
        time.sleep("1s")
    end
    error("still not so after " .. limit .. " s: " .. what)
end

function books.wait_for_database()
    books.until_true("the database is migrated", 600, database.ready)
end

-- All orders, oldest first; faults may strike who asks, so that it is asked again.
function books.orders(): any
    for _ = 1, 60 do
        local found, err = orders.list(nil, 1000)
        if err == nil then
            table.sort(found, function(one, other) return one.id < other.id end)
            return found
        end
        time.sleep("1s")
    end
    error("the orders cannot be read")
end

-- What is wrong between stock and orders; nil where nothing is. One statement, so that nothing comes between.
function books.mistake(): string?
    local rows, err = database.with(function(db)
        return db:query("SELECT sku, stock, NULL AS items FROM products UNION ALL SELECT NULL, NULL, items FROM orders")
    end)
    if err then
        return nil -- not migrated yet, or a fault struck the one who looks
    end
    local ordered: { [string]: number } = {}
    for _, row in ipairs(rows) do
        if row.items then
            for _, item in ipairs(json.decode(row.items)) do
                ordered[item.sku] = (ordered[item.sku] or 0) + item.quantity
            end
        end
    end
    for _, row in ipairs(rows) do
        if row.sku then
            local sold, wanted = books.stock_at_first[row.sku] - row.stock, ordered[row.sku] or 0
            if row.stock < 0 then
                return row.stock .. " of " .. row.sku .. " left"
            elseif sold ~= wanted then
                return sold .. " of " .. row.sku .. " are gone, " .. wanted .. " were ordered"
            end
        end
    end
    return nil
end

-- Raises unless the books balance and every order gets packed.
function books.close()
    books.until_true("every order is packed", 1200, function()
        for _, order in ipairs(books.orders()) do
            if order.status ~= "packed" then
                return false
            end
        end
        return true
    end)
    local mistake = books.mistake()
    if mistake then
        error(mistake)
    end
end

return books
