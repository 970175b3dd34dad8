local queue = require("queue")
local sql = require("sql")
local time = require("time")

return function()
    local events = process.events()
    while true do
        local db = sql.get("app:db")
        local rows = db and db:query("SELECT id FROM outbox ORDER BY id LIMIT 10")
        for _, row in ipairs(rows or {}) do
            if queue.publish("app:orders", { id = row.id }) then
                db:execute("DELETE FROM outbox WHERE id = ?", { row.id })
            end
        end
        local pause = time.after("10s")
        local ready = channel.select { pause:case_receive(), events:case_receive() }
        if ready.channel == events then
            return
        end
    end
end
