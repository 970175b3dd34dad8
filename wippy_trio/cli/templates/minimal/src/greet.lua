local function main(name: string)
    if name == "" then
        return nil, errors.new({ message = "whom shall I greet?", kind = errors.INVALID })
    end
    return "Hello, " .. name .. "!"
end

return { main = main }
