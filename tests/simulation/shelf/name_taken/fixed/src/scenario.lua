local store = require("store")
local time = require("time")

return function()
    local alive = {}
    for number = 1, 2 do
        alive[number] = process.spawn("app:candidate", "app:processes", number)
    end
    time.sleep("40s") -- longer than any of them may hang
    local leaders = 0
    for number, pid in pairs(alive) do
        -- Only who lives can lead; what the dead left behind does not count.
        if process.monitor(pid) and store.get("app:posts"):get("leader:" .. number) then
            leaders = leaders + 1
        end
    end
    if leaders > 1 then
        error(leaders .. " leaders at a time")
    end
end
