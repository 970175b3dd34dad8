local store = require("store")
local time = require("time")

return function(name)
    local documents = store.get("app:documents")
    while not documents:put("lease", name, { only_if_absent = true, ttl = 10 }) do
        time.sleep("1s")
    end
    local pages = documents:get("pages")
    for _ = 1, 6 do
        time.sleep("1s")
    end
    documents:set("pages", pages + 1)
    if documents:get("lease") == name then
        documents:delete("lease")
    end
    return "written"
end
