local database = require("database")

type Item = { sku: string, quantity: number }

local function main(items: { Item }): (boolean?, any)
    return database.with(function(db)
        for _, item in ipairs(items) do
            local rows, err = db:query("SELECT stock FROM products WHERE sku = ?", { item.sku })
            if err then
                return nil, err
            end
            if #rows > 0 and rows[1].stock < item.quantity then
                return nil, errors.new({
                    message = "only " .. rows[1].stock .. " of " .. item.sku .. " left",
                    kind = errors.CONFLICT,
                })
            end
        end
        return true, nil
    end)
end

return { main = main }
