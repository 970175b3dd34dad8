local settings = require("settings")

return function(number)
    return settings.save({ number = number, colors = string.rep("blue ", 100) })
end
