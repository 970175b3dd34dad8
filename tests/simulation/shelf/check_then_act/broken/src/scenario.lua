local funcs = require("funcs")

return function()
    local futures = {}
    for number = 1, 3 do
        futures[number] = funcs.async("app:buy", "12A", "buyer " .. number)
    end
    local sold = 0
    for _, future in ipairs(futures) do
        if future:await() == "sold" then
            sold = sold + 1
        end
    end
    if sold > 1 then
        error("seat 12A was sold " .. sold .. " times")
    end
end
