-- The `store` module. A store object is its id and whether it was released; both live in `stores`, out of reach.
local sys, K = ...
local type, tonumber, setmetatable, getmetatable = type, tonumber, setmetatable, getmetatable
local mathtype, tointeger = math.type, math.tointeger
local number_text, is, argument_error, sys_error, encode = K.tostring, sys.is, sys.argument_error, sys.error, sys.encode_message
local stores = setmetatable({}, { __mode = "k" })
local methods = {}
local Store = sys.class("store.Store", methods, {
  meta = { __tostring = function(self) return stores[self].released and "store.Store{released}" or "store.Store{}" end },
})
local get, info = sys.immediate("store.get"), sys.immediate("store.info")
local key_get, key_entry, key_set = sys.waiting("store.key.get"), sys.waiting("store.key.entry"), sys.waiting("store.key.set")
local key_put, key_list = sys.waiting("store.key.put"), sys.waiting("store.key.list")
local key_has, key_delete = sys.waiting("store.key.has"), sys.waiting("store.key.delete")

local function invalid(message) return nil, sys_error("Invalid", message, false) end
local function text(v, index, name)
  if type(v) == "number" then return number_text(v) end
  return sys.check(v, "string", index, name)
end

-- The id of a store that is not released, or nil and the error.
local function active(self, name)
  if not is(self, "store.Store") then argument_error(1, name, "store expected") end
  local store = stores[self]
  if store.released then return invalid("store is released") end
  return store.id
end
local function active_key(self, key, name)
  local id, err = active(self, name)
  if not id then return nil, nil, err end
  key = text(key, 2, name)
  if key == "" then return nil, nil, sys_error("Invalid", "key is required", false) end
  return id, key
end

function methods.get(self, key)
  local id, err
  id, key, err = active_key(self, key, "get")
  if not id then return nil, err end
  return key_get(id, key)
end
function methods.entry(self, key)
  local id, err
  id, key, err = active_key(self, key, "entry")
  if not id then return nil, err end
  return key_entry(id, key)
end
function methods.has(self, key)
  local id, err
  id, key, err = active_key(self, key, "has")
  if not id then return nil, err end
  local found
  found, err = key_has(id, key)
  return found or false, err
end
function methods.delete(self, key)
  local id, err
  id, key, err = active_key(self, key, "delete")
  if not id then return nil, err end
  return key_delete(id, key)
end
function methods.set(self, key, value, ttl)
  local id, err
  id, key, err = active_key(self, key, "set")
  if not id then return nil, err end
  if value == nil then return invalid("value is required") end
  if ttl ~= nil then sys.check(ttl, "number", 4, "set") end
  return key_set(id, key, encode(value), ttl or 0)
end

-- Options: nil, or a plain table.
local function options_table(options)
  if options == nil then return {} end
  if type(options) ~= "table" or getmetatable(options) == false then return invalid("options must be a table") end
  return options
end
local function version_of(v)
  if type(v) == "string" then return v:find("^%d+$") and mathtype(tonumber(v)) == "integer" and tonumber(v) or nil end
  return type(v) == "number" and tointeger(v) or nil
end
local function put_options(options)
  local given, err = options_table(options)
  if not given then return nil, err end
  local wanted = {}
  if given.ttl ~= nil then
    if type(given.ttl) ~= "number" or not (given.ttl >= 0) then return invalid("ttl must be a non-negative number") end
    wanted.ttl = given.ttl
  end
  if given.only_if_absent ~= nil then
    if type(given.only_if_absent) ~= "boolean" then return invalid("only_if_absent must be a boolean") end
    wanted.only_if_absent = given.only_if_absent
  end
  if given.if_version ~= nil then
    wanted.if_version = version_of(given.if_version)
    if not wanted.if_version or wanted.if_version < 1 then return invalid("if_version must be a positive version") end
  end
  if wanted.only_if_absent and wanted.if_version then
    return invalid("only_if_absent and if_version are mutually exclusive")
  end
  return wanted
end
function methods.put(self, key, value, options)
  local id, err
  id, key, err = active_key(self, key, "put")
  if not id then return nil, err end
  if value == nil then return invalid("value is required") end
  local wanted
  wanted, err = put_options(options)
  if not wanted then return nil, err end
  return key_put(id, key, encode(value), wanted)
end
function methods.list(self, options)
  local id, err = active(self, "list")
  if not id then return nil, err end
  local given
  given, err = options_table(options)
  if not given then return nil, err end
  local prefix, after, limit = given.prefix or "", given.after or "", given.limit or 0
  if type(prefix) ~= "string" then return invalid("prefix must be a string") end
  if type(after) ~= "string" then return invalid("after must be a string") end
  limit = type(limit) == "number" and tointeger(limit) or -1
  if limit < 0 then return invalid("limit must be a non-negative integer") end
  return key_list(id, prefix, after, limit)
end
function methods.info(self)
  local id, err = active(self, "info")
  if not id then return nil, err end
  return info(id)
end
function methods.release(self)
  if not is(self, "store.Store") then argument_error(1, "release", "store expected") end
  stores[self].released = true
  return true
end

return {
  get = function(id)
    id = text(id, 1, "get")
    if id == "" then return invalid("resource id is required") end
    local ok, err = get(id)
    if not ok then return nil, err end
    local object = sys.instance(Store, {})
    stores[object] = { id = id, released = false }
    return object
  end,
  backend = { MEMORY = "memory", SQL = "sql", KV_RAFT = "kv.raft", KV_CRDT = "kv.crdt", UNKNOWN = "unknown" },
  consistency = { LINEARIZABLE = "linearizable", EVENTUAL = "eventual", LOCAL = "local", UNKNOWN = "unknown" },
}
