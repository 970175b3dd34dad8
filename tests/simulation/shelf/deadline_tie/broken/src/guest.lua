local time = require("time")

return function()
    local booked = process.listen("booked")
    process.send("restaurant", "book", 4)
    local patience = time.after("5s")
    local ready = channel.select { booked:case_receive(), patience:case_receive() }
    if ready.channel == patience then
        return "goes elsewhere"
    end
    return "comes"
end
