-- The `json` module.
local sys = ...
local type, pcall, find, error = type, pcall, string.find, error
local encode, decode = sys.immediate("json.encode"), sys.immediate("json.decode")
local validate, validate_string = sys.immediate("json.validate"), sys.immediate("json.validate_string")

local function invalid(first, text) return first, sys.error("Invalid", text, false) end

-- The border refuses values that are too deep or refer to themselves; here that is an error of the value.
local function guarded(operation, ...)
  local ok, a, b = pcall(operation, ...)
  if ok then return a, b end
  if type(a) == "string" and find(a, "nested deeper", 1, true) then
    return nil, sys.error("Internal", "encode failed: cannot encode recursively nested tables to JSON", false)
  end
  error(a, 0)
end
local function verdict(ok, problem)
  if ok then return true end
  return false, problem
end

return {
  encode = function(value)
    if value == nil then return "null", nil end
    return guarded(encode, value)
  end,
  decode = function(text)
    if type(text) ~= "string" then return invalid(nil, "string expected") end
    if text == "" then return invalid(nil, "empty string is not valid JSON") end
    return decode(text)
  end,
  validate = function(schema, data)
    if schema == nil then return invalid(false, "schema is required") end
    if data == nil then return invalid(false, "data is required") end
    return verdict(guarded(validate, schema, data))
  end,
  validate_string = function(schema, text)
    if schema == nil then return invalid(false, "schema is required") end
    if type(text) ~= "string" then return invalid(false, "data must be a JSON string") end
    return verdict(guarded(validate_string, schema, text))
  end,
}
