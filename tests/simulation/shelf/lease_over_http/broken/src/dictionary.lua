return function(request)
    return { status = 200, body = "<" .. request.body .. ">" }
end
