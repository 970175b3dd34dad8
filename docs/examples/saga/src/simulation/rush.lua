local books = require("books")

local ORDERS = {
    { id = "1", items = { count = 2 }, total = 20, approved = true },
    { id = "2", items = { count = 2 }, total = 5000, approved = true },
    { id = "3", items = { count = 3 }, total = 30, approved = false },
    { id = "4", items = { count = 2 }, total = 20, approved = true },
}

-- What the books must hold for an order that ended so.
local EXPECTED: { [string]: string } = {
    ["fulfilled"] = "charged fulfilled reserved",
    ["rejected"] = "charged refunded released reserved",
    ["payment failed"] = "released reserved",
    ["out of stock"] = "",
}

local function main(): any
    local by_pid = {}
    for _, order in ipairs(ORDERS) do
        local pid, err = process.spawn_monitored("app:order", "wippy:workflows", order)
        assert(pid, tostring(err))
        by_pid[pid] = order
        assert(process.send(pid, "decision", { approved = order.approved }))
    end
    local outcomes: { [string]: string } = {}
    for _ = 1, #ORDERS do
        local event = process.events():receive()
        local problem = event.result.error
        outcomes[by_pid[event.from].id] = problem and tostring(problem) or event.result.value.status
    end

    local found = assert(books.all())
    for _, order in ipairs(ORDERS) do
        local done = {}
        for what in pairs(found[order.id] or {}) do
            if what ~= "checked" then
                done[#done + 1] = what
            end
        end
        table.sort(done)
        local told, expected = table.concat(done, " "), EXPECTED[outcomes[order.id]]
        if told ~= expected then
            error("order " .. order.id .. ": " .. outcomes[order.id] .. ", and the books say: " .. told)
        end
    end
    return true
end

return { main = main }
