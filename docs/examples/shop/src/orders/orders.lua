local json = require("json")
local sql = require("sql")
local time = require("time")
local database = require("database")

type Item = { sku: string @min_len(1), quantity: number @min(1) @max(1000) }
type NewOrder = { customer: string, items: { Item }, discount: string?, key: string? }
type Order = {
    id: number,
    customer: string,
    items: { Item },
    total_cents: number,
    discount: string?,
    status: "new" | "packed",
    created_at: string,
}

local orders = {}

local function from_row(row: any): Order
    return {
        id = row.id,
        customer = row.customer,
        items = json.decode(row.items),
        total_cents = row.total_cents,
        discount = row.discount,
        status = row.status,
        created_at = row.created_at,
    }
end

-- Takes the items out of the stock and writes the order down: both, or neither. Returns its id.
local function write_down(tx: any, order: NewOrder, total_cents: number): (number?, any)
    for _, item in ipairs(order.items) do
        local taken, err = tx:execute(
            "UPDATE products SET stock = stock - ? WHERE sku = ? AND stock >= ?",
            { item.quantity, item.sku, item.quantity }
        )
        if err then
            return nil, err
        end
        if taken.rows_affected == 0 then
            return nil, errors.new({ message = "not enough of " .. item.sku .. " left", kind = errors.CONFLICT })
        end
    end
    local created_at = time.now():utc():format_rfc3339()
    local result, err = tx:execute(
        "INSERT INTO orders (customer, items, total_cents, discount, status, created_at, request_key)"
            .. " VALUES (?, ?, ?, ?, 'new', ?, ?)",
        { order.customer, json.encode(order.items), total_cents, order.discount or "", created_at, order.key or sql.as.null() }
    )
    if err then
        return nil, err
    end
    return result.last_insert_id, nil
end

function orders.add(order: NewOrder, total_cents: number): (Order?, any)
    local id, err = database.transaction(function(tx)
        return write_down(tx, order, total_cents)
    end)
    if err then
        return nil, errors.wrap(err, "cannot store the order")
    end
    return orders.get(id)
end

-- The order that was stored under a key of the customer's, or nil: who got no answer asks again with the same key.
function orders.with_key(key: string): (Order?, any)
    local rows, err = database.with(function(db)
        return db:query("SELECT * FROM orders WHERE request_key = ?", { key })
    end)
    if err then
        return nil, err
    end
    return rows[1] and from_row(rows[1]), nil
end

function orders.get(id: number): (Order?, any)
    local rows, err = database.with(function(db)
        return db:query("SELECT * FROM orders WHERE id = ?", { id })
    end)
    if err then
        return nil, err
    end
    if #rows == 0 then
        return nil, errors.new({ message = "order " .. id .. " not found", kind = errors.NOT_FOUND })
    end
    return from_row(rows[1]), nil
end

function orders.list(status: string?, limit: number): ({ Order }?, any)
    local rows, err = database.with(function(db)
        local query = sql.builder.select("*"):from("orders"):order_by("id DESC"):limit(limit)
        if status then
            query = query:where({ status = status })
        end
        return query:run_with(db):query()
    end)
    if err then
        return nil, err
    end
    local found: { Order } = {}
    for index, row in ipairs(rows) do
        found[index] = from_row(row)
    end
    return found, nil
end

-- Returns whether the order changed: packing it twice does nothing the second time.
function orders.set_status(id: number, status: string): (boolean?, any)
    local result, err = database.with(function(db)
        return db:execute("UPDATE orders SET status = ? WHERE id = ? AND status <> ?", { status, id, status })
    end)
    if err then
        return nil, err
    end
    return result.rows_affected > 0, nil
end

-- Removes all orders of a customer; what was ordered is in stock again.
function orders.remove(customer: string)
    return database.transaction(function(tx)
        local rows, err = tx:query("SELECT items FROM orders WHERE customer = ?", { customer })
        if err then
            return nil, err
        end
        for _, row in ipairs(rows) do
            for _, item in ipairs(json.decode(row.items)) do
                tx:execute("UPDATE products SET stock = stock + ? WHERE sku = ?", { item.quantity, item.sku })
            end
        end
        return tx:execute("DELETE FROM orders WHERE customer = ?", { customer })
    end)
end

return orders
