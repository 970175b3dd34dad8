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
        error(err) -- the supervisor starts a new packer
    end
    if changed then
        local order = orders.get(id)
        events.send("orders", "order.packed", "/orders/" .. id, order)
        logger:info("order packed", { order_id = id })
    end
end

local function main()
    process.registry.register("packer")
    local inbox = process.inbox()
    local signals = process.events()

    -- Orders that were left when the last packer ended.
    local left = orders.list("new", 100)
    for _, order in ipairs(left or {}) do
        pack(order.id)
    end

    while true do
        local result = channel.select {
            inbox:case_receive(),
            signals:case_receive(),
        }
        if result.channel == signals then
            if result.value.kind == process.event.CANCEL then
                return 0
            end
        elseif result.value:topic() == "order" then
            pack(result.value:payload():data().order_id)
        end
    end
end

return { main = main }
