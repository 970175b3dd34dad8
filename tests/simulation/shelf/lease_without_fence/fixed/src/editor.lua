local store = require("store")
local time = require("time")

return function(name)
    local documents = store.get("app:documents")
    while not documents:put("lease", name, { only_if_absent = true, ttl = 10 }) do
        time.sleep("1s")
    end
    local entry = documents:entry("pages")
    for _ = 1, 6 do
        time.sleep("1s")
    end
    local _, err = documents:put("pages", entry.value + 1, { if_version = entry.version })
    if documents:get("lease") == name then
        documents:delete("lease")
    end
    return err and "too late" or "written"
end
