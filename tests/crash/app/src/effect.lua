-- The effect of an activity: a row. There is time to be killed before it, and after it.
local sql = require("sql")
local time = require("time")

local function main(effect)
    local db, err = sql.get("app:effects")
    if err then
        return nil, err
    end
    time.sleep("2ms")
    local _, failed = sql.builder.insert("effects"):columns("id", "step"):values(effect.id, effect.step)
        :run_with(db):exec()
    if failed then
        return nil, failed
    end
    time.sleep("2ms")
    return "done"
end

return { main = main }
