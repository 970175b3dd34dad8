local time = require("time")
local database = require("database")

local setup = {}

-- Asks again until it is so; raises after five seconds.
function setup.until_true(what: string, test: () -> boolean)
    for _ = 1, 500 do
        if test() then
            return
        end
        time.sleep("10ms")
    end
    error("still not so: " .. what)
end

-- Migrations run when the app starts, beside everything else.
function setup.wait_for_database()
    setup.until_true("the database is migrated", database.ready)
end

function setup.equal(actual: any, expected: any, what: string)
    if actual ~= expected then
        error(what .. ": expected " .. tostring(expected) .. ", got " .. tostring(actual), 2)
    end
end

return setup
