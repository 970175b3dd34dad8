-- The `ctx` module.
local sys = ...
local type, tostring = type, tostring
local get = sys.immediate("ctx.get")
return {
  get = function(key)
    if type(key) ~= "number" then sys.check(key, "string", 1, "get") end
    return get(tostring(key))
  end,
  all = sys.immediate("ctx.all"),
}
