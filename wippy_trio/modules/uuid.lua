-- The `uuid` module.
local sys = ...
local type = type
local validate, variant, version = sys.raw("uuid.validate"), sys.raw("uuid.variant"), sys.raw("uuid.version")
local parse, reformat = sys.immediate("uuid.parse"), sys.raw("uuid.format")

local function invalid(text) return nil, sys.error("Invalid", text, false) end
local function made(operation) return function() return operation() end end
local function named(operation)
  return function(namespace, name)
    if type(namespace) ~= "string" or type(name) ~= "string" then
      return invalid("namespace and name must be strings")
    end
    return operation(namespace, name)
  end
end
local function about(operation)
  return function(id)
    if type(id) ~= "string" then return invalid("input must be a string") end
    return operation(id)
  end
end

return {
  v1 = made(sys.raw("uuid.v1")), v4 = made(sys.raw("uuid.v4")), v7 = made(sys.raw("uuid.v7")),
  v3 = named(sys.raw("uuid.v3")), v5 = named(sys.raw("uuid.v5")),
  validate = function(input) return type(input) == "string" and validate(input), nil end,
  version = about(version), variant = about(variant), parse = about(parse),
  format = function(id, form)
    if type(id) ~= "string" then return invalid("input must be a string") end
    return reformat(id, type(form) == "string" and form or "standard")
  end,
}
