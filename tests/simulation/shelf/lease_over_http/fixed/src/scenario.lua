local funcs = require("funcs")
local store = require("store")

return function()
    local documents = store.get("app:documents")
    documents:set("words", 0)
    local futures = {}
    for number = 1, 4 do
        futures[number] = funcs.async("app:translate", "word " .. number)
    end
    local done = 0
    for _, future in ipairs(futures) do
        if future:await() == true then
            done = done + 1
        end
    end
    local words = documents:get("words")
    if words < done then
        error(done .. " words were translated, " .. words .. " are there")
    end
end
