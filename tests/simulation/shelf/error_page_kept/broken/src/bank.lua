return function()
    return { status = 200, body = "1.0842" }
end
