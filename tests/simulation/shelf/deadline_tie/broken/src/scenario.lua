local store = require("store")
local time = require("time")

return function()
    local decision = process.exec("app:guest", "app:processes")
    time.sleep("90s") -- whatever hangs has ended by then
    if decision == "goes elsewhere" and store.get("app:bookings"):get("table:4") == "booked" then
        error("table 4 is held for a guest who went elsewhere")
    end
end
