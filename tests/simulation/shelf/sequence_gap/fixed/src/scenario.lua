local funcs = require("funcs")
local sql = require("sql")

return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE counter (number INTEGER NOT NULL)"))
    assert(db:execute("INSERT INTO counter (number) VALUES (0)"))
    assert(db:execute("CREATE TABLE log (number INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)"))
    -- It looks for a minute; whoever hangs has gone on by then.
    local follow = funcs.async("app:follow", 30)
    local writers = {}
    for number = 1, 3 do
        writers[number] = funcs.async("app:append", string.rep("text ", 8 - 2 * number))
    end
    local written = 0
    for _, writer in ipairs(writers) do
        if writer:await("40s") then -- only what was there long before the last look
            written = written + 1
        end
    end
    local seen = follow:await()
    if seen and seen < written then
        error(written .. " rows were written, " .. seen .. " were seen")
    end
end
