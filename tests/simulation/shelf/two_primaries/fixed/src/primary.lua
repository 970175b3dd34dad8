return function()
    return { status = 200, body = "the primary is alive" }
end
