local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function()
    for _ = 1, 3 do
        local answer, err = http_client.get("http://feed.example.com/", { timeout = "4s" })
        if not err and answer.status_code == 200 then
            store.get("app:news"):set("bytes", #answer.body)
            return
        end
        time.sleep("1s")
    end
end
