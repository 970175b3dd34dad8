local store = require("store")
local time = require("time")

-- Moves 10 from alice to bob, five times.
return function()
    local accounts = store.get("app:accounts")
    local step = accounts:get("step") or 0
    while step < 10 do
        time.sleep("1s")
        local name, change = "alice", -10
        if step % 2 == 1 then
            name, change = "bob", 10
        end
        accounts:set(name, (accounts:get(name) or 100) + change)
        step = step + 1
        accounts:set("step", step)
    end
end
