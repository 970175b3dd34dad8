local events = require("events")
local store = require("store")

type Stats = { created: number, packed: number }

local function main()
    local subscription, err = events.subscribe("orders")
    if err then
        return nil, err
    end
    local orders = subscription:channel()
    local signals = process.events()
    local stats: Stats = { created = 0, packed = 0 }

    while true do
        local result = channel.select {
            orders:case_receive(),
            signals:case_receive(),
        }
        if result.channel == signals then
            if result.value.kind == process.event.CANCEL then
                subscription:close()
                return 0
            end
        else
            if result.value.kind == "order.created" then
                stats.created = stats.created + 1
            elseif result.value.kind == "order.packed" then
                stats.packed = stats.packed + 1
            end
            local cache = store.get("app:cache")
            cache:set("stats", stats)
            cache:release()
        end
    end
end

return { main = main }
