local sql = require("sql")

return function()
    local db = sql.get("app:db")
    local total = assert(db:query("SELECT SUM(cents) AS cents FROM accounts"))[1].cents
    if total ~= 200 then
        error("200 cents were there, " .. total .. " are")
    end
end
