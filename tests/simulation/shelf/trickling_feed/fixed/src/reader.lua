local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function()
    for try = 1, 20 do
        local answer, err = http_client.get("http://feed.example.com/", { timeout = 4 * try .. "s" })
        if not err and answer.status_code == 200 then
            store.get("app:news"):set("bytes", #answer.body)
            return
        end
        time.sleep("10s")
    end
end
