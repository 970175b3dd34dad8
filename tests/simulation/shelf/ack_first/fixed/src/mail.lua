local store = require("store")
local time = require("time")

return function(mail)
    time.sleep("1s")
    local _, err = store.get("app:mails"):set("mailed:" .. mail.to, true)
    return err == nil, err
end
