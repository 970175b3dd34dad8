local time = require("time")

type Task = { order_id: number }

-- An error puts the message back into the queue, so that a packer that is just starting loses nothing.
local function main(task: Task)
    local _, err = process.send("packer", "order", { order_id = task.order_id })
    if err then
        time.sleep("1s") -- it comes back at once, and a packer takes a moment to start
        return nil, err
    end
    return true
end

return { main = main }
