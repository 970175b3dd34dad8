local time = require("time")

return function(jobs)
    local printed = process.listen("printed")
    local printer = process.registry.lookup("printer")
    for _, job in ipairs(jobs) do
        process.send(printer, "job", job)
        local patience = time.after("10s")
        channel.select { printed:case_receive(), patience:case_receive() }
    end
    return "all printed"
end
