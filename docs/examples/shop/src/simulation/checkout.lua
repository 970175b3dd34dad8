local http_client = require("http_client")
local json = require("json")
local time = require("time")
local books = require("books")

local URL = "http://localhost:8080/api/orders"
local BUYERS = 5
local TRIES = 40

-- Sends the order until the shop says yes or no. The key says that it is the same order each time.
local function buy(buyer: string, quantity: number): (string, any)
    local body = json.encode({ customer = buyer, key = buyer, items = { { sku = "pot", quantity = quantity } } })
    for _ = 1, TRIES do
        local answer, err = http_client.post(URL, {
            headers = { ["Content-Type"] = "application/json" },
            body = body,
            timeout = "20s",
        })
        if err == nil and answer.status_code == 201 then
            return "bought", json.decode(answer.body)
        elseif err == nil and answer.status_code == 409 then
            return "refused", nil
        elseif err == nil and answer.status_code < 500 then
            error(buyer .. " got " .. answer.status_code .. ": " .. answer.body)
        end
        time.sleep("5s")
    end
    return "gave up", nil
end

-- Seven pots, five buyers of one to three each.
local function main()
    books.wait_for_database()
    local done = channel.new(BUYERS)
    for number = 1, BUYERS do
        coroutine.spawn(function()
            local buyer, quantity = "buyer " .. number, 1 + number % 3
            local outcome, order = buy(buyer, quantity)
            done:send({ buyer = buyer, quantity = quantity, outcome = outcome, order = order })
        end)
    end
    local told: { [string]: any } = {}
    for _ = 1, BUYERS do
        local result = done:receive()
        told[result.buyer] = result
    end

    local ordered: { [string]: number } = {}
    for _, order in ipairs(books.orders()) do
        ordered[order.customer] = (ordered[order.customer] or 0) + 1
    end
    for buyer, result in pairs(told) do
        local count = ordered[buyer] or 0
        if count > 1 then
            error(buyer .. " pays for " .. count .. " orders")
        elseif result.outcome == "bought" and count == 0 then
            error("the order of " .. buyer .. " is lost")
        elseif result.outcome == "refused" and count > 0 then
            error(buyer .. " was refused, and pays")
        elseif result.order and result.order.total_cents ~= 4900 * result.quantity then
            error(buyer .. " pays " .. result.order.total_cents)
        end
    end
    books.close()
end

return { main = main }
