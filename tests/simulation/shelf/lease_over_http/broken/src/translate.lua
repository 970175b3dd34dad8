local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function(name)
    local documents = store.get("app:documents")
    while not documents:put("lease", name, { only_if_absent = true, ttl = 35 }) do
        time.sleep("1s")
    end
    local words = documents:get("words")
    local answer, err = http_client.post("http://words.example.com/", { body = name, timeout = "10m" })
    if not err and answer.status_code == 200 then
        documents:set("words", words + 1)
    end
    if documents:get("lease") == name then
        documents:delete("lease")
    end
    return not err and answer.status_code == 200
end
