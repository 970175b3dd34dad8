local http_client = require("http_client")
local store = require("store")

return function(room)
    local rooms = store.get("app:rooms")
    local _, held_err = rooms:put("held:" .. room, true, { only_if_absent = true })
    if held_err then
        return nil, held_err
    end
    local answer, err = http_client.post("https://bank.example.com/pay", { body = room, timeout = "20s" })
    if err or answer.status_code ~= 201 then
        return nil, err or errors.new("bank: status " .. answer.status_code)
    end
    rooms:set("sold:" .. room, true)
    rooms:delete("held:" .. room)
    return true
end
