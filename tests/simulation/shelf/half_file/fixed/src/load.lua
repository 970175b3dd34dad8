local settings = require("settings")

return function()
    return settings.load()
end
