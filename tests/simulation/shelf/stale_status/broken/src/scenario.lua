local queue = require("queue")
local store = require("store")
local time = require("time")

return function()
    for number, status in ipairs({ "packed", "sent", "at the door", "delivered" }) do
        queue.publish("app:reports", { number = number, status = status })
    end
    time.sleep("3m")
    local parcel = store.get("app:parcels"):get("parcel:1")
    if not parcel or parcel.status ~= "delivered" then
        error("the parcel was delivered, and is shown as " .. (parcel and parcel.status or "unknown"))
    end
end
