-- The `env` module. Most storages answer at once; a file is asked by a waiting operation.
local sys = ...
local type, tostring = type, tostring
local DONE = 1

local function operation(name)
  local at_once, waiting = sys.immediate(name .. "_now"), sys.waiting(name)
  return function(...)
    local state, value = at_once(...)
    if state == nil then return nil, value end -- value is the error
    if state == DONE then return value, nil end
    return waiting(...)
  end
end
local get, set, get_all = operation("env.get"), operation("env.set"), operation("env.get_all")

local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", index, name)
end
local function empty_key() return nil, sys.error("Invalid", "empty key", false) end

return {
  get = function(key)
    key = text(key, 1, "get")
    if key == "" then return empty_key() end
    return get(key)
  end,
  set = function(key, value)
    key = text(key, 1, "set")
    if key == "" then return empty_key() end
    return set(key, text(value, 2, "set"))
  end,
  get_all = function() return get_all() end,
}
