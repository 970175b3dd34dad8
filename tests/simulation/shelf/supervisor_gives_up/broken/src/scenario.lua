local time = require("time")

local function is_answered(pongs)
    process.send("worker", "ping")
    local patience = time.after("10s")
    return channel.select({ pongs:case_receive(), patience:case_receive() }).channel == pongs
end

return function()
    local pongs = process.listen("pong")
    for _ = 1, 10 do
        is_answered(pongs)
        time.sleep("1s")
    end
    for _ = 1, 18 do -- three minutes, and whatever strikes has an end
        if is_answered(pongs) then
            return true
        end
    end
    error("there is no worker any more")
end
