type Task = { order_id: number }

-- An error puts the message back into the queue, so that a packer that is just starting loses nothing.
local function main(task: Task)
    local _, err = process.send("packer", "order", { order_id = task.order_id })
    if err then
        return nil, err
    end
    return true
end

return { main = main }
