local ctx = require("ctx")
local events = require("events")
local funcs = require("funcs")
local logger = require("logger")
local queue = require("queue")
local orders = require("orders")

type Item = { sku: string @min_len(1), quantity: number @min(1) @max(1000) }
type NewOrder = { customer: string @min_len(1), items: { Item }, discount: string?, key: string? }

local function invalid(message: string)
    return errors.new({ message = message, kind = errors.INVALID })
end

local function check(input: any): (NewOrder?, any)
    local order, err = NewOrder:is(input)
    if err then
        return nil, invalid("an order has customer, items of sku and quantity (1 to 1000), and maybe discount and key: " .. tostring(err))
    end
    if #order.items == 0 then
        return nil, invalid("an order has at least one item")
    end
    for _, item in ipairs(order.items) do
        if item.quantity ~= math.floor(item.quantity) then
            return nil, invalid("quantities are whole numbers")
        end
    end
    return order, nil
end

-- Waits for a call that was started before.
local function result_of(future: any): (any, any)
    local payload, ok = future:response():receive()
    local err, failed = future:error()
    if failed then
        return nil, err
    end
    if not ok then
        return nil, errors.new({ message = "no result", kind = errors.INTERNAL })
    end
    return payload:data(), nil
end

local function main(input: any): (any, any)
    local order, err = check(input)
    if err then
        return nil, err
    end

    if order.key then
        local before, key_err = orders.with_key(order.key)
        if before or key_err then
            return before, key_err
        end
    end

    -- Two questions at once.
    local price, price_err = funcs.async("app.orders:price", order.items)
    if price_err then
        return nil, price_err
    end
    local stock, stock_err = funcs.async("app.orders:stock", order.items)
    if stock_err then
        return nil, stock_err
    end
    local total, total_err = result_of(price)
    if total_err then
        return nil, total_err
    end
    local _, short = result_of(stock)
    if short then
        return nil, short
    end

    if order.discount then
        -- A function that may have been created while the shop runs.
        if not order.discount:match("^[a-z][a-z0-9_]*$") then
            return nil, invalid("no discount " .. order.discount)
        end
        local reduced, call_err = funcs.call("app.discounts:" .. order.discount, total)
        if call_err then
            if call_err:kind() == errors.NOT_FOUND then
                return nil, invalid("no discount " .. order.discount)
            end
            return nil, call_err
        end
        total = reduced
    end

    local stored, store_err = orders.add(order, total)
    if store_err then
        return nil, store_err
    end
    -- It is stored, so it is an order: what cannot be queued the packer finds by itself.
    local _, queue_err = queue.publish("app:orders_queue", { order_id = stored.id })
    if queue_err then
        logger:warn("order not queued", { order_id = stored.id, error = tostring(queue_err) })
    end
    events.send("orders", "order.created", "/orders/" .. stored.id, stored)
    logger:info("order placed", { order_id = stored.id, request_id = ctx.get("request_id") })
    return stored, nil
end

return { main = main }
