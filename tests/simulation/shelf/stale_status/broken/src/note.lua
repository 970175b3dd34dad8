local store = require("store")

return function(report)
    return store.get("app:parcels"):set("parcel:1", report)
end
