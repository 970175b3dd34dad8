-- The `logger` module: the module itself is a Logger.
local sys, K = ...
local type, tostring, next, select, setmetatable = type, tostring, next, select, setmetatable
local pcall, error, smatch, tonumber = pcall, error, string.match, tonumber
local enabled, write = sys.raw("logger.enabled"), sys.immediate("logger.write")

local kept = setmetatable({}, { __mode = "k" }) -- logger -> {name, fields}
local methods = {}
local Logger = sys.class("logger.Logger", methods)
local NONE = {}

local function new(name, fields)
  local logger = sys.instance(Logger, {})
  kept[logger] = { name = name, fields = fields }
  return logger
end

local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", index, name)
end
local function state_of(v, name)
  local state = kept[v]
  if not state then sys.argument_error(1, name, "expected logger.Logger, call it with a colon") end
  return state
end

-- Adds a table's string keys to `into`; objects and functions as their text.
local function add_fields(into, fields)
  for k, v in next, fields do
    if type(k) == "string" then
      local t = type(v)
      if t == "string" or t == "number" or t == "boolean" or (t == "table" and not K.is_object(v)) then
        into[k] = v
      else
        into[k] = tostring(v)
      end
    end
  end
  return into
end

local function level_method(level, name)
  methods[name] = function(self, message, ...)
    local state = state_of(self, name)
    message = text(message, 2, name)
    local fields
    if select("#", ...) > 0 then fields = sys.check((...), "table", 3, name) end
    local failure
    if fields and level == 3 and fields.error ~= nil then -- the reference takes `error` out of the caller's table
      failure = tostring(fields.error)
      fields.error = nil
    end
    if not enabled(level) then return end
    local all = state.fields
    if fields then
      all = add_fields(add_fields({}, all), fields)
      if failure then all.error = failure end
    end
    local _, where = pcall(error, "", 3) -- "chunk:line: " of the caller; there is no debug library here
    write(level, tonumber(smatch(where, ":(%d+): $")) or 0, state.name, message, all)
  end
end
level_method(0, "debug")
level_method(1, "info")
level_method(2, "warn")
level_method(3, "error")

methods["with"] = function(self, fields)
  local state = state_of(self, "with")
  sys.check(fields, "table", 2, "with")
  return new(state.name, add_fields(add_fields({}, state.fields), fields))
end
function methods.named(self, name)
  local state = state_of(self, "named")
  if text(name, 2, "named") == "" then sys.argument_error(2, "named", "name cannot be empty") end
  return new(state.name == "" and tostring(name) or state.name .. "." .. name, state.fields)
end

return new("", NONE)
