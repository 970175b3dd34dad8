local events = require("events")
local logger = require("logger")
local registry = require("registry")
local time = require("time")
local orders = require("orders")

local function pack(id: number)
    local settings = registry.get("app:settings")
    time.sleep(settings.data.pack_time)
    local changed, err = orders.set_status(id, "packed")
    if err then
        error(tostring(err)) -- the supervisor starts a new packer; not so for an error object that is not retryable
    end
    if changed then
        local order = orders.get(id)
        events.send("orders", "order.packed", "/orders/" .. id, order)
        logger:info("order packed", { order_id = id })
    end
end

local function pack_left()
    local left = orders.list("new", 100)
    for _, order in ipairs(left or {}) do
        pack(order.id)
    end
end

local function main()
    process.registry.register("packer")
    local inbox = process.inbox()
    local signals = process.events()

    -- Orders whose messages went astray, as those of a packer that failed.
    local ticker = time.ticker("30s")
    pack_left()

    while true do
        local result = channel.select {
            inbox:case_receive(),
            signals:case_receive(),
            ticker:response():case_receive(),
        }
        if result.channel == signals then
            if result.value.kind == process.event.CANCEL then
                return 0
            end
        elseif result.channel ~= inbox then
            pack_left()
        elseif result.value:topic() == "order" then
            pack(result.value:payload():data().order_id)
        end
    end
end

return { main = main }
