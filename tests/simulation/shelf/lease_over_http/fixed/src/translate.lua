local http_client = require("http_client")
local store = require("store")
local time = require("time")

return function(name)
    local documents = store.get("app:documents")
    while not documents:put("lease", name, { only_if_absent = true, ttl = 35 }) do
        time.sleep("1s")
    end
    local words = documents:entry("words")
    local answer, err = http_client.post("http://words.example.com/", { body = name, timeout = "10m" })
    local written = false
    if not err and answer.status_code == 200 then
        written = documents:put("words", words.value + 1, { if_version = words.version }) ~= nil
    end
    if documents:get("lease") == name then
        documents:delete("lease")
    end
    return written
end
