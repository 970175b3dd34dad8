return function()
    return { status = 200, body = string.rep("news ", 400) }
end
