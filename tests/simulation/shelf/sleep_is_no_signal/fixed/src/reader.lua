local store = require("store")

return function()
    local events, written = process.events(), process.listen("written")
    local _, err = process.spawn_monitored("app:writer", "app:processes", process.pid())
    if err then
        error(err)
    end
    local ready = channel.select { written:case_receive(), events:case_receive() }
    if ready.channel == events and ready.value.result.error then
        error("the writer failed")
    end
    return store.get("app:board"):get("news") or "no news"
end
