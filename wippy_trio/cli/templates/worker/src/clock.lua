local time = require("time")

local function main()
    local ticker = time.ticker("1s")
    local ticks = ticker:channel()
    local events = process.events()

    while true do
        local result = channel.select {
            ticks:case_receive(),
            events:case_receive(),
        }
        if result.channel == events then
            if result.value.kind == process.event.CANCEL then
                ticker:stop()
                return 0
            end
        else
            process.send("counter", "tick", {})
        end
    end
end

return { main = main }
