local store = require("store")

return function()
    local documents = store.get("app:documents")
    documents:set("pages", 0)
    local events = process.events()
    local left, written = 0, 0
    for number = 1, 3 do
        if process.spawn_monitored("app:editor", "app:processes", "editor " .. number) then
            left = left + 1
        end
    end
    while left > 0 do
        local event = events:receive()
        if event.kind == process.event.EXIT then
            left = left - 1
            if event.result.value == "written" then
                written = written + 1
            end
        end
    end
    local pages = documents:get("pages")
    if pages < written then
        error(written .. " pages were written, " .. pages .. " are there")
    end
end
