-- The structured error and the `errors` library. Called once per VM as chunk(K), before codec.lua.
-- Sets K.class machinery (every object a module hands out is an instance of a registered class), K.new_error,
-- K.error_from, K.error_fields, K.errors_lib.
local K = ...
local type, setmetatable, getmetatable, tostring, error, next, rawget = type, setmetatable, getmetatable, tostring, error, next, rawget
local sfind, sformat, gmatch, gsub, smatch = string.find, string.format, string.gmatch, string.gsub, string.match
local traceback = debug.traceback
local concat = table.concat

-- classes ----------------------------------------------------------------------------------------------------------
local class_of = {} -- metatable -> class record
local by_name = {}
K.class_of = class_of

-- Registers a class. `methods` becomes __index; options: meta (further metamethods), pack/unpack (crossing border and
-- actors as an immutable value), handle (instances carry a host handle id), index (an __index function instead).
function K.class(name, methods, options)
  options = options or {}
  local mt = { __index = options.index or methods, __metatable = false, __name = name }
  for k, f in next, options.meta or {} do mt[k] = f end
  if not mt.__tostring then
    mt.__tostring = function() return name end
  end
  local class = {
    name = name, metatable = mt, methods = methods, pack = options.pack, unpack = options.unpack,
    handle = options.handle or false, shared = options.pack ~= nil or options.shared or false, copy = options.copy or false,
  }
  mt.__newindex = function() error("cannot set a field of " .. name, 2) end
  class_of[mt] = class
  by_name[name] = class
  return class
end

-- An instance: fields are set once, here.
function K.instance(class, fields) return setmetatable(fields, class.metatable) end
function K.new_object(name, handle)
  local class = by_name[name]
  if not class then return nil end
  return setmetatable({ handle = handle }, class.metatable)
end
function K.unpack_object(name, value)
  local class = by_name[name]
  if class and class.unpack then return class.unpack(value) end
  return value
end
local rawmeta = debug.getmetatable
function K.is_object(v)
  local class = type(v) == "table" and class_of[rawmeta(v)]
  return class and class.name or nil
end

-- A traceback of what the user wrote: frames of the kernel and of C left out. `co` is a dead coroutine, or nil for here.
function K.traceback(co)
  local trace = co and traceback(co) or traceback("", 2)
  local kept = { "stack traceback:" }
  for line in gmatch(trace, "[^\n]+") do
    if sfind(line, "^%s+[^%[%s(]") and not sfind(line, "^%s+kernel/") and not sfind(line, "^%s+module ") then
      kept[#kept + 1] = line
    end
  end
  return concat(kept, "\n")
end

-- Entry and line of the code `level` calls up, skipping the kernel's own and module code.
local getinfo = debug.getinfo
function K.where(level)
  for l = level + 1, level + 12 do
    local info = getinfo(l, "Sl")
    if not info then break end
    if info.currentline > 0 and not sfind(info.short_src, "^kernel/") and not sfind(info.short_src, "^module ") then
      return info.short_src .. ":" .. info.currentline
    end
  end
  return ""
end

-- errors -----------------------------------------------------------------------------------------------------------
local Error
local methods = {}

-- What an error holds is out of its holder's reach: behind a key that user code cannot name.
local P = K.P

local function text(e)
  local s = e[P]
  if s.context then return concat(s.context, ": ") .. ": " .. s.text end
  return s.text
end

-- The Lua frames a user wrote, innermost first, without the kernel's own.
local function frames_of(trace)
  local frames = {}
  for line in gmatch(trace or "", "[^\n]+") do
    local source, number, name = smatch(line, "^%s*([^%[%s][^:]*:?[^:]*):(%d+): in (.*)$")
    if source then
      frames[#frames + 1] = { source = source, line = number + 0, name = (gsub(name, "^%a+ '?<?([^'>]*)'?>?.*$", "%1")) }
    end
  end
  return frames
end

local kinds = {
  UNKNOWN = "", NOT_FOUND = "NotFound", ALREADY_EXISTS = "AlreadyExists", INVALID = "Invalid",
  PERMISSION_DENIED = "PermissionDenied", UNAVAILABLE = "Unavailable", INTERNAL = "Internal", CANCELED = "Canceled",
  CONFLICT = "Conflict", TIMEOUT = "Timeout", RATE_LIMITED = "RateLimited",
}
local kind_values = {}
for _, v in next, kinds do kind_values[v] = true end

local function build(message, kind, retryable, details, stack, context, cause)
  if type(details) == "table" and next(details) == nil then details = nil end
  return setmetatable({
    [P] = {
      text = message, kind = kind or "", retryable = retryable, details = details, stack = stack or false,
      context = context or false, cause = cause or false,
    },
  }, Error.metatable)
end

local function state(e, name)
  if type(e) ~= "table" or e[P] == nil then error("bad argument #1 to " .. name .. " (Error expected)", 3) end
  return e[P]
end
function methods.message(e) return state(e, "message").text end
function methods.kind(e) return state(e, "kind").kind end
function methods.retryable(e) return state(e, "retryable").retryable end
function methods.details(e) return state(e, "details").details end
function methods.stack(e) return state(e, "stack").stack or "" end

local function as_text(v)
  if K.is_object(v) == "Error" then return text(v) end
  return tostring(v)
end

Error = K.class("Error", methods, {
  shared = true,
  meta = {
    __tostring = text,
    __concat = function(a, b) return as_text(a) .. as_text(b) end,
    __eq = function(a, b) return K.is_object(b) == "Error" and text(a) == text(b) and a[P].kind == b[P].kind end,
  },
})
K.Error = Error

-- Raised from host code and prelude code: kind first.
function K.new_error(kind, message, retryable, details)
  return build(message, kind, retryable, details, K.traceback())
end
function K.is_error(v) return type(v) == "table" and rawmeta(v) == Error.metatable end

-- A copy for another actor: nothing in it can be changed from here.
local function copy_error(e)
  local s = e[P]
  return build(s.text, s.kind, s.retryable, s.details and K.copy(s.details) or nil, s.stack, s.context)
end
Error.copy = copy_error

function K.error_fields(e)
  local s = e[P]
  return {
    message = s.text, kind = s.kind, retryable = s.retryable, details = s.details, stack = s.stack or nil,
    context = s.context or nil,
  }
end
function K.error_from(fields)
  local stack = fields.stack
  if stack == nil or stack == "" then stack = K.traceback() end
  return build(fields.message or "", fields.kind, fields.retryable, fields.details, stack, fields.context)
end

-- Whatever a program raised, as an Error object; `trace` is the Lua traceback where it was caught.
function K.to_error(v, trace, kind)
  if K.is_error(v) then
    local s = v[P]
    if not s.stack or s.stack == "" then s.stack = trace or "" end
    return v
  end
  if type(v) == "table" and rawmeta(v) == nil and type(v.message) == "string" then
    local named = type(v.kind) == "string" and v.kind or kind or "Internal"
    local details = type(v.details) == "table" and v.details or nil
    local retryable
    if type(v.retryable) == "boolean" then retryable = v.retryable end
    return build(v.message, named, retryable, details, trace)
  end
  return build(K.tostring(v), kind or "Internal", nil, nil, trace)
end

local lib = {}
for k, v in next, kinds do lib[k] = v end

-- errors.new(message) | errors.new{message=, kind=, retryable=, details=} | errors.new(kind, message) as the brief has it
function lib.new(spec, message)
  K.tick_check(200) -- a traceback walks the stack
  if type(spec) == "table" and not K.is_object(spec) then
    local body = spec.message
    if type(body) ~= "string" then error("errors.new: field 'message' must be a string", 2) end
    local details = spec.details
    if details ~= nil and type(details) ~= "table" then error("errors.new: field 'details' must be a table", 2) end
    return build(body, spec.kind or "", spec.retryable, details, K.traceback())
  end
  if type(spec) == "string" and type(message) == "string" and kind_values[spec] then
    return build(message, spec, nil, nil, K.traceback())
  end
  if type(spec) == "string" and type(message) == "table" then
    return build(spec, message.kind or "", message.retryable, message.details, K.traceback())
  end
  if type(spec) ~= "string" and type(spec) ~= "number" then
    error("bad argument #1 to 'new' (string or table expected, got " .. type(spec) .. ")", 2)
  end
  return build(tostring(spec), "", nil, nil, K.traceback())
end

function lib.wrap(err, context)
  K.tick_check(200)
  if type(context) ~= "string" then error("bad argument #2 to 'wrap' (string expected)", 2) end
  if K.is_error(err) then
    local list = { context }
    local s = err[P]
    local inner = s.context or {}
    for i = 1, #inner do list[i + 1] = inner[i] end
    K.tick_check(#list)
    return build(s.text, s.kind, s.retryable, s.details, s.stack, list, err)
  end
  return build(tostring(err), "", nil, nil, K.traceback(), { context })
end

function lib.is(err, kind)
  return K.is_error(err) and err[P].kind == kind
end

function lib.call_stack(err)
  if not K.is_error(err) then return nil end
  return { thread = "main", frames = frames_of(err[P].stack or "") }
end
K.errors_lib = lib
