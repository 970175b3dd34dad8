local store = require("store")
local time = require("time")

return function(reader)
    time.sleep("5s")
    store.get("app:board"):set("news", "fresh")
    process.send(reader, "written")
end
