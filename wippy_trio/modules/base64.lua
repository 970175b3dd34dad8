-- The `base64` module.
local sys = ...
local type = type
local encode, decode = sys.raw("base64.encode"), sys.raw("base64.decode")

local function over(operation)
  return function(data)
    if type(data) ~= "string" then return nil, sys.error("Invalid", "string expected", false) end
    return operation(data)
  end
end

return { encode = over(encode), decode = over(decode) }
