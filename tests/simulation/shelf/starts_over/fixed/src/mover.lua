local store = require("store")
local time = require("time")

-- Moves 10 from alice to bob, five times.
return function()
    local accounts = store.get("app:accounts")
    local state = accounts:get("state") or { step = 0, alice = 100, bob = 100 }
    while state.step < 10 do
        time.sleep("1s")
        local name, change = "alice", -10
        if state.step % 2 == 1 then
            name, change = "bob", 10
        end
        state[name] = state[name] + change
        state.step = state.step + 1
        accounts:set("state", state)
    end
end
