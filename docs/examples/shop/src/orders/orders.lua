local json = require("json")
local sql = require("sql")
local time = require("time")
local database = require("database")

type Item = { sku: string @min_len(1), quantity: number @min(1) @max(1000) }
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

function orders.add(customer: string, items: { Item }, total_cents: number, discount: string?): (Order?, any)
    local created_at = time.now():utc():format_rfc3339()
    local result, err = database.with(function(db)
        return db:execute(
            "INSERT INTO orders (customer, items, total_cents, discount, status, created_at) VALUES (?, ?, ?, ?, 'new', ?)",
            { customer, json.encode(items), total_cents, discount or "", created_at }
        )
    end)
    if err then
        return nil, errors.wrap(err, "cannot store the order")
    end
    return orders.get(result.last_insert_id)
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

function orders.remove(customer: string)
    return database.with(function(db)
        return db:execute("DELETE FROM orders WHERE customer = ?", { customer })
    end)
end

return orders
