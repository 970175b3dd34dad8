local store = require("store")
local time = require("time")

return function()
    local billed_ms, last = 0, time.now():unix_nano()
    while true do
        time.sleep("10s")
        local now = time.now():unix_nano()
        local passed_ms = (now - last) // 1000000
        last = now
        if passed_ms > 0 and passed_ms < 12000 then -- else the clock was set
            billed_ms = billed_ms + passed_ms
        end
        store.get("app:bills"):set("seconds", billed_ms / 1000)
    end
end
