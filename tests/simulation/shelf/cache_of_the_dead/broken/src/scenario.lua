local funcs = require("funcs")
local sql = require("sql")
local time = require("time")

-- One after the other: readers and writers do not meet.
return function()
    local db = sql.get("app:db")
    assert(db:execute("CREATE TABLE book (title TEXT NOT NULL)"))
    assert(db:execute("INSERT INTO book (title) VALUES ('t0')"))
    for number = 1, 3 do
        funcs.call("app:title")
        funcs.call("app:rename", "t" .. number)
        time.sleep("2m")
        local shown = funcs.call("app:title")
        local kept = assert(db:query("SELECT title FROM book"))[1].title
        if shown and shown ~= kept then
            error("the title is " .. kept .. ", and " .. shown .. " is shown")
        end
    end
end
