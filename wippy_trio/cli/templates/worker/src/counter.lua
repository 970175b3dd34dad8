local logger = require("logger")

local function main()
    process.registry.register("counter")
    local inbox = process.inbox()
    local events = process.events()
    local count = 0

    while true do
        local result = channel.select {
            inbox:case_receive(),
            events:case_receive(),
        }
        if result.channel == events then
            if result.value.kind == process.event.CANCEL then
                return 0
            end
        else
            count = count + 1
            logger:info("counted", { topic = result.value:topic(), count = count })
        end
    end
end

return { main = main }
