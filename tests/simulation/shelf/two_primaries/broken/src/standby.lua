local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function()
    while true do
        local answer, err = http_client.get("http://primary.example.com/alive", { timeout = "3s" })
        if not err and answer.status_code == 200 then
            time.sleep("5s")
        else
            answer, err = http_client.get("http://primary.example.com/alive", { timeout = "3s" })
            if err and err:kind() ~= errors.INVALID then
                store.get("app:roles"):set("standby", "primary")
                return
            end
        end
    end
end
