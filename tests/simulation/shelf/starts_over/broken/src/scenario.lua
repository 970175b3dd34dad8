local store = require("store")
local time = require("time")

return function()
    local accounts = store.get("app:accounts")
    for _ = 1, 30 do
        time.sleep("10s")
        local state = accounts:get("state")
        local step = state and state.step or accounts:get("step")
        if step == 10 then
            local alice = state and state.alice or accounts:get("alice")
            local bob = state and state.bob or accounts:get("bob")
            if alice ~= 50 or bob ~= 150 then
                error("alice has " .. alice .. ", bob has " .. bob)
            end
            return true
        end
    end
end
