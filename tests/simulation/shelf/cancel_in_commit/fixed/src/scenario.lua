local funcs = require("funcs")
local store = require("store")

return function()
    local orders = store.get("app:orders")
    orders:set("order:1", "open")
    local pay, cancel = funcs.async("app:pay", "order:1"), funcs.async("app:cancel", "order:1")
    pay:await()
    if cancel:await() == "cancelled" and orders:has("paid:order:1") then
        error("cancelled, and paid")
    end
end
