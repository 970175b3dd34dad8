local fs = require("fs")
local time = require("time")

return function()
    local confirmed = {}
    for number = 1, 10 do
        local text = "note " .. number
        if process.exec("app:note", "app:processes", text) then
            table.insert(confirmed, text)
        end
        time.sleep("1s")
    end
    local kept = "\n" .. (fs.get("app:disk"):readfile("/notes.txt") or "")
    for _, text in ipairs(confirmed) do
        if not kept:find(text .. "\n", 1, true) then
            error(text .. " was confirmed, and is lost")
        end
    end
end
