local time = require("time")

local function is_printed(job, printed)
    if not process.send("printer", "job", job) then
        time.sleep("1s")
        return false
    end
    local patience = time.after("10s")
    while true do
        local ready = channel.select { printed:case_receive(), patience:case_receive() }
        if ready.channel == patience then
            return false
        elseif ready.value == job then
            return true
        end
    end
end

return function(jobs)
    local printed = process.listen("printed")
    for _, job in ipairs(jobs) do
        local done, tries = false, 0
        while not done and tries < 60 do
            done, tries = is_printed(job, printed), tries + 1
        end
        if not done then
            error("page " .. job .. " cannot be printed")
        end
    end
    return "all printed"
end
