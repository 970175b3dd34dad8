return function()
    local wrong = process.exec("app:client", "app:processes")
    if wrong and wrong > 0 then
        error(wrong .. " wrong answers")
    end
end
