return function()
    if process.exec("app:reader", "app:processes") == "no news" then
        error("read before it was written")
    end
end
