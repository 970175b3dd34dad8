local store = require("store")
local time = require("time")
local uuid = require("uuid")

return function()
    local events = process.events()
    for day = 1, 5 do
        store.get("app:letters"):set("letter:" .. uuid.v4(), day)
        local night = time.after("30s") -- days are short here
        local ready = channel.select { night:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
    end
end
