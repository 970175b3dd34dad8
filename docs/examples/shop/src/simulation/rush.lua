local funcs = require("funcs")
local time = require("time")
local books = require("books")

local ORDERS = 12

-- Twelve orders within a moment; every fourth wants more than there ever is.
local function main()
    books.wait_for_database()
    local done = channel.new(ORDERS)
    for number = 1, ORDERS do
        coroutine.spawn(function()
            time.sleep(number % 4 * 10 .. "ms")
            local quantity = number % 4 == 0 and 121 or 30
            local order, err = funcs.call("app.orders:place", {
                customer = "customer " .. number,
                items = { { sku = "tea", quantity = quantity } },
            })
            done:send({ number = number, quantity = quantity, order = order, err = err })
        end)
    end
    local accepted = 0
    for _ = 1, ORDERS do
        local result = done:receive()
        if result.order then
            accepted = accepted + 1
            if result.quantity > 120 then
                error("more was sold than there was")
            end
        end
    end
    if accepted > 4 then
        error(accepted .. " orders of 30 were accepted, there were 120")
    end
    local kept = #books.orders()
    if kept < accepted then
        error(accepted .. " orders were accepted, " .. kept .. " are kept")
    end
    books.close()
end

return { main = main }
