local funcs = require("funcs")

local function main()
    local text, err = funcs.call("app:greet", "Ann")
    if err then
        error(err)
    end
    if text ~= "Hello, Ann!" then
        error("unexpected greeting: " .. text)
    end
    local _, refused = funcs.call("app:greet", "")
    if not refused or refused:kind() ~= errors.INVALID then
        error("an empty name must be refused")
    end
    return true
end

return { main = main }
