local books = require("books")

local LIMIT = 1000

-- One statement looks at the stock and takes of it, so that two orders cannot have the same piece.
local function reserve_inventory(id: string, items: any): (any, any)
    local reserved, err = books.reserve(id, items.count)
    if err or not reserved then
        return nil, err
    end
    return { id = id }, nil
end

local function charge_payment(id: string, total: number): (any, any)
    if total > LIMIT then
        return nil, nil
    end
    local _, err = books.write(id, "charged", total)
    if err then
        return nil, err
    end
    return { id = id }, nil
end

local function release_inventory(id: string): (any, any)
    return books.write(id, "released", 0)
end

local function refund_payment(id: string): (any, any)
    return books.write(id, "refunded", 0)
end

local function check_fraud(id: string): (any, any)
    return books.write(id, "checked", 0)
end

local function fulfill_order(id: string): (any, any)
    local _, err = books.write(id, "fulfilled", 0)
    if err then
        return nil, err
    end
    return { order = id, status = "fulfilled" }, nil
end

return {
    reserve_inventory = reserve_inventory,
    release_inventory = release_inventory,
    charge_payment = charge_payment,
    refund_payment = refund_payment,
    check_fraud = check_fraud,
    fulfill_order = fulfill_order,
}
