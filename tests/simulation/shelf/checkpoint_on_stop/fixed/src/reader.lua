local store = require("store")
local time = require("time")

return function()
    local events, pages = process.events(), store.get("app:pages")
    local page = (pages:get("position") or 0) + 1
    while page <= 8 do
        local work = time.after("2s")
        local ready = channel.select { work:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
        pages:set("read:" .. page, true)
        pages:set("position", page)
        page = page + 1
    end
end
