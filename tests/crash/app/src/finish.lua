local json = require("json")
local sql = require("sql")

local function main(result)
    local db, err = sql.get("app:effects")
    if err then
        return nil, err
    end
    local _, failed = sql.builder.insert("results"):columns("id", "result"):values(result.id, (json.encode(result)))
        :run_with(db):exec()
    return not failed, failed
end

return { main = main }
