local http_client = require("http_client")

return function(name)
    local answer, err = http_client.post("http://one.example.com/orders", { body = name, timeout = "10s" })
    if err then
        answer, err = http_client.post("http://two.example.com/orders", { body = name, timeout = "10s" })
    end
    if err then
        return nil, err
    end
    return answer.status_code == 201
end
