local queue = require("queue")
local store = require("store")
local time = require("time")

return function(mail)
    queue.message():ack()
    time.sleep("1s")
    store.get("app:mails"):set("mailed:" .. mail.to, true)
    return true
end
