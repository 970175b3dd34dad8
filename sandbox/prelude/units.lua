-- Units: compiled sources, module tables and the environments actors run in. Called once per VM as chunk(K), last.
local K = ...
local type, error, setmetatable, next, rawget, rawset, load = type, error, setmetatable, next, rawget, rawset, load
local rawmeta = debug.getmetatable
local rawpairs, unpack, sort = pairs, table.unpack, table.sort
local units = {} -- unit id -> {chunk, globals, imports, name}; whoever runs one holds the record, not the id
local modules = {} -- module name -> frozen table
local base -- globals of every unit
local actors = K.actors

-- A read-only view of a library; plain tables inside it (constants) become views too.
function K.freeze(lib, name)
  for k, v in next, lib do
    if type(v) == "table" and rawmeta(v) == nil then rawset(lib, k, K.freeze(v, name and (name .. "." .. K.tostring(k)))) end
  end
  return setmetatable({}, {
    __index = lib,
    __newindex = function(_, k) error("library " .. (name or "table") .. " is read-only: cannot set '" .. K.tostring(k) .. "'", 2) end,
    __pairs = function() return next, lib, nil end,
    __metatable = false,
    __name = name,
  })
end

-- Builds the globals shared by every unit from the base library (a table of plain globals).
function K.finish_base(globals)
  base = {}
  for k, v in next, globals do
    if type(v) == "table" then base[k] = K.freeze(v, k) else base[k] = v end
  end
  for k, v in next, K.types.globals do base[k] = v end
  rawmeta(base.string).__call = K.types.string_call -- string(x) validates, as the other types do
  for k, v in next, K.pcall_lib do base[k] = v end
  local co = {}
  for k, v in next, K.coroutine_lib do co[k] = v end
  base.coroutine = K.freeze(co, "coroutine")
  base.channel = K.freeze(K.channel_lib, "channel")
  base.errors = K.freeze(K.errors_lib, "errors")
  base.subscribe, base.unsubscribe = K.bind, K.unbind
  local sink = setmetatable({}, { __newindex = function() end, __metatable = false })
  K.rt = { sink = sink, slice = K.slice_ticks, tick = K.tick, cat = K.cat, types = K.types }
  K.base = base
end

-- A module's Lua half: a chunk called with the kernel's system table; it returns the module's table.
-- `always` puts it into every unit's globals, as the reference does with process, payload, ...
function K.add_module(name, text, chunkname, always, ops)
  for op, index in next, ops do K.ops[op] = index end
  local chunk, compiled = K.compile_own(text, "=" .. chunkname)
  local lib = chunk(K.sys, K)
  if type(lib) == "table" and not K.is_object(lib) then lib = K.freeze(lib, name) end
  modules[name] = lib
  if always then base[name] = lib end
  return compiled
end
function K.add_table_module(name, lib) modules[name] = K.freeze(lib, name) end
function K.has_module(name) return modules[name] ~= nil end

-- Defines (or replaces) a unit. `names` maps alias -> module; `imports` maps alias -> unit id.
function K.define(id, name, text, chunkname, names, imports)
  local chunk, problem = load(text, "@" .. chunkname, "t", {}) -- its environment comes as its first argument
  if not chunk then return problem end
  local globals = {}
  for k, v in next, base do globals[k] = v end
  for alias, module in next, names do globals[alias] = modules[module] end
  local mt = { __index = globals, __metatable = false }
  local records = {}
  for alias, unit in next, imports do records[alias] = units[unit] end
  units[id] = { chunk = chunk, meta = mt, globals = globals, imports = records, name = name }
  return nil
end
function K.drop(id)
  local u = units[id]
  if u then u.dropped, units[id] = true, nil end
end
function K.unit(id) return units[id] or error("no unit " .. tostring(id), 0) end

local load_library

local function new_env(a, u)
  local env = setmetatable({}, u.meta)
  env._G = env
  env.require = function(name)
    local v = rawget(env, name)
    if v == nil and type(name) == "string" then v = u.globals[name] end
    if v == nil then
      error("module '" .. K.tostring(name) .. "' not found: list it in the entry's modules or imports", 2)
    end
    return v
  end
  for alias, unit in next, u.imports do env[alias] = load_library(a, unit) end
  return env
end

local LOADING = {}

function load_library(a, u)
  local lib = a.libs[u]
  if lib == LOADING then error("import cycle through " .. u.name, 0) end
  if lib ~= nil then return lib end
  a.libs[u] = LOADING
  local r = u.chunk(new_env(a, u), K.rt)
  if r == nil then r = true end
  a.libs[u] = r
  return r
end

-- The function an entry names: the source returns it, or a table that holds it, or defines it as a global.
function K.load_method(a, u, method)
  local env = new_env(a, u)
  local r = u.chunk(env, K.rt)
  if type(r) == "function" then return r end
  local f
  if type(r) == "table" then f = r[method] end
  if f == nil then f = rawget(env, method) end
  if type(f) ~= "function" then
    error(K.new_error("Invalid", "method '" .. K.tostring(method) .. "' not found in " .. u.name
      .. ": the source must return a function or a table with that function", false), 0)
  end
  return f
end

-- New code is to run: all that the old has not received is pending again, each topic's in its order, and what was handed
-- to a task that has not run since comes first. (Whose a plain value was that was handed so is not known any more.)
local function unsubscribe_all(a)
  local pending, topics, old = {}, {}, a.pending or {}
  for i = a.rh, a.rt do
    local ch, v = K.handed(a.rx[i], a.ry[i])
    local sub = ch and ch.topic and a.topics[ch.topic]
    if sub and sub.channel == ch and a.alive[a.rq[i]] then
      pending[#pending + 1] = K.is_object(v) == "Message" and { v[1], v[2], v[3], v[4] } or { ch.topic, "", 1, v }
      if ch.mailbox then a.depth = a.depth + 1 end
    end
  end
  for topic in next, a.topics do topics[#topics + 1] = topic end
  sort(topics)
  for i = 1, #topics do
    local topic = topics[i]
    local ch = a.topics[topic].channel
    for at = ch.bh, ch.bt do
      local v, from = ch.buf[at], ch.froms and ch.froms[at]
      local m
      if K.is_object(v) == "Message" then
        m = { v[1], v[2], v[3], v[4] }
      elseif type(from) == "table" then
        m = { topic, from[1], from[2], v }
      else
        m = { topic, from or "", 1, v }
      end
      pending[#pending + 1] = m
    end
  end
  for i = 1, #old do pending[#pending + 1] = old[i] end
  a.pending = pending[1] and pending or nil
  a.topics, a.inbox = {}, nil
end

-- Replaces the code of an actor: same PID, mailbox and relations, new environment (process.upgrade). Of the old code
-- nothing runs any more; where it is the running task that asks, it has to park.
function K.upgrade_actor(a, unit, method, args)
  local u = K.unit(unit)
  if a.calls then K.end_calls(a) end
  unsubscribe_all(a)
  K.pass_on(a)
  K.drop_outdated(a) -- the code that it gets now is the newest there is
  a.waiting, a.sources, a.rq, a.rx, a.ry, a.rh, a.rt = {}, {}, {}, {}, {}, 1, 0
  a.alive, a.state, a.libs, a.tasks, a.commands, a.cpu, a.busy = {}, {}, {}, 0, 0, 0.0, nil
  K.run_main(a, function()
    local f = K.load_method(a, u, method)
    local n, t = K.decode_list(args)
    return f(unpack(t, 1, n))
  end)
end
function K.upgrade(id, unit, method, args)
  local a = actors[id]
  if not a then return false end
  K.upgrade_actor(a, unit, method, args)
  return true
end
