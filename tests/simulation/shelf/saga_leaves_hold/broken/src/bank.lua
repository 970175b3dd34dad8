return function()
    return { status = 201, body = "booked" }
end
