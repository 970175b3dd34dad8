local database = require("database")

type Item = { sku: string, quantity: number }

local function main(items: { Item }): (number?, any)
    return database.with(function(db)
        local total = 0
        for _, item in ipairs(items) do
            local rows, err = db:query("SELECT price_cents FROM products WHERE sku = ?", { item.sku })
            if err then
                return nil, err
            end
            if #rows == 0 then
                return nil, errors.new({
                    message = "unknown product " .. item.sku,
                    kind = errors.INVALID,
                    details = { sku = item.sku },
                })
            end
            total = total + rows[1].price_cents * item.quantity
        end
        return total, nil
    end)
end

return { main = main }
