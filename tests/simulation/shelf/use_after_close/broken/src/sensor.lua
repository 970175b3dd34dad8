local store = require("store")
local time = require("time")

return function()
    local readings = channel.new(16)
    local stop = process.listen("stop")
    coroutine.spawn(function()
        for number = 1, 5 do
            time.sleep("1s")
            readings:send(number)
        end
        readings:close()
    end)
    local sum, stopped = 0, false
    while true do
        local ready = channel.select { readings:case_receive(), stop:case_receive() }
        if ready.channel == stop then
            if not stopped then
                stopped = true
                readings:close()
            end
        elseif not ready.ok then
            store.get("app:sums"):set("sum", sum)
            return sum
        else
            sum = sum + ready.value
        end
    end
end
