-- The `yaml` module.
local sys, K = ...
local type, ipairs, pcall, find, error = type, ipairs, pcall, string.find, error
local encode, decode = sys.immediate("yaml.encode"), sys.immediate("yaml.decode")

local function invalid(text) return nil, sys.error("Invalid", text, false) end

return {
  encode = function(value, options)
    if type(value) ~= "table" or K.is_object(value) then return invalid("table expected") end
    local order, sort = nil, false
    if type(options) == "table" then
      if type(options.sort_unordered) == "boolean" then sort = options.sort_unordered end
      if type(options.field_order) == "table" then
        order = {}
        for _, name in ipairs(options.field_order) do
          if type(name) == "string" then order[#order + 1] = name end
        end
      end
    end
    local ok, a, b = pcall(encode, value, order, sort)
    if ok then return a, b end
    -- The border refuses values that are too deep or refer to themselves; here that is an error of the value.
    if type(a) == "string" and find(a, "nested deeper", 1, true) then
      return nil, sys.error("Internal", "encode failed: " .. a, false)
    end
    error(a, 0)
  end,
  decode = function(text)
    if type(text) ~= "string" then return invalid("string expected") end
    if text == "" then return invalid("input cannot be empty") end
    return decode(text)
  end,
}
