local sql = require("sql")
local time = require("time")

return function(text)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    time.sleep(#text .. "ms") -- it is looked up in a dictionary
    return db:execute("INSERT INTO log (text) VALUES (?)", { text })
end
