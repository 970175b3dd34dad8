local books = require("books")

local function main(): (boolean?, string?)
    local mistake = books.mistake()
    if mistake then
        return nil, mistake
    end
    return true, nil
end

return { main = main }
