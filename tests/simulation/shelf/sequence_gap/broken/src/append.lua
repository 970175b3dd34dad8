local sql = require("sql")
local time = require("time")

return function(text)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, number_err = db:query("UPDATE counter SET number = number + 1 RETURNING number")
    if number_err then
        return nil, number_err
    end
    time.sleep(#text .. "ms") -- it is looked up in a dictionary
    return db:execute("INSERT INTO log (number, text) VALUES (?, ?)", { rows[1].number, text })
end
