local store = require("store")
local time = require("time")

local PAGES <const> = { "1", "2", "3" }

return function()
    local events = process.events()
    local client = process.spawn_monitored("app:client", "app:processes", PAGES)
    process.send("printer", "job", "jam")
    while client do
        local event = events:receive()
        if event.kind == process.event.EXIT and event.from == client then
            if event.result.error then
                return true -- it says that it failed
            end
            break
        end
    end
    time.sleep("5s")
    for _, page in ipairs(PAGES) do
        if client and not store.get("app:printed"):has("page:" .. page) then
            error("page " .. page .. " was reported as printed, and is not")
        end
    end
end
