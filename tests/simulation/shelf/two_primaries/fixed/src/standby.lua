local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function()
    while true do
        local answer, err = http_client.get("http://primary.example.com/alive", { timeout = "3s" })
        if err or answer.status_code ~= 200 then
            answer, err = http_client.get("http://witness.example.com/primary", { timeout = "3s" })
            if not err and answer.body == "the primary is dead" then
                store.get("app:roles"):set("standby", "primary")
                return
            end
        end
        time.sleep("5s")
    end
end
