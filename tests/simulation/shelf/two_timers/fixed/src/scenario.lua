return function()
    for _ = 1, 4 do
        if process.exec("app:oven", "app:processes") == "opened a hot oven" then
            error("opened a hot oven")
        end
    end
end
