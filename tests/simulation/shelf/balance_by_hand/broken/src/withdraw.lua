local sql = require("sql")

return function(cents)
    local db, err = sql.get("app:db")
    if err then
        return nil, err
    end
    local rows, read_err = db:query("SELECT cents FROM account")
    if read_err then
        return nil, read_err
    elseif rows[1].cents < cents then
        return "too little"
    end
    local _, write_err = db:execute("UPDATE account SET cents = ?", { rows[1].cents - cents })
    return not write_err and "done" or nil, write_err
end
