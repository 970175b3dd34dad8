local store = require("store")

return function(report)
    local parcels = store.get("app:parcels")
    local entry = parcels:entry("parcel:1")
    if entry and entry.value.number > report.number then
        return true
    end
    local options = entry and { if_version = entry.version } or { only_if_absent = true }
    local _, err = parcels:put("parcel:1", report, options)
    return err == nil, err
end
