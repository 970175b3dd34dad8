local http_client = require("http_client")
local time = require("time")

return function(invoice)
    local answer, err
    for _ = 1, 3 do
        answer, err = http_client.post("https://bank.example.com/payments", {
            body = invoice, headers = { ["X-Key"] = invoice }, timeout = "5m",
        })
        if not err then
            return answer.status_code == 201
        end
        time.sleep("1s")
    end
    return nil, err
end
