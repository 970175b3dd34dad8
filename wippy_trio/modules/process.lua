-- process: spawn, message, monitor, link, name. The mailbox half is the kernel's (sandbox/prelude/mailbox.lua).
local sys, K = ...
local type, error, select, next, sbyte, tostring = type, error, select, next, string.byte, tostring
local spawn_op, send_op = sys.immediate("process.spawn"), sys.immediate("process.send")
local send_waiting_op, isyieldable = sys.waiting("process.send_waiting"), coroutine.isyieldable
local exec_op, upgrade_op = sys.waiting("process.exec"), sys.immediate("process.upgrade")
local checked_op, upgradable_op = sys.immediate("process.check"), sys.immediate("process.upgradable")
local current, send_local, send_one = sys.current, K.send_local, K.send_one

local M = {}
M.event = { CANCEL = "pid.cancel", EXIT = "pid.exit", LINK_DOWN = "pid.link.down", OUTDATED = "pid.outdated" }

M.id = sys.immediate("process.id")
function M.pid()
  local a = current()
  return a.pid or K.make_known(a)
end

local function invalid(message) return nil, sys.error("Invalid", message, false) end

local function mailbox_full(destination) return nil, sys.error("Unavailable", "mailbox is full: " .. destination, true) end

function M.send(...)
  local n = select("#", ...)
  if n < 2 then return invalid("send requires at least destination and topic arguments") end
  local destination, topic, payload = ...
  if type(destination) ~= "string" then return invalid("destination must be a string") end
  if type(topic) ~= "string" or topic == "" then return invalid("topic must be a non-empty string") end
  if sbyte(topic, 1) == 64 then return invalid("cannot send to @ topics") end
  if not current().guarded then
    local state
    if n == 3 then
      state = send_one(destination, topic, payload)
    else
      state = send_local(destination, topic, select(3, ...))
    end
    while state == 2 do -- back-pressure: the sender waits for room
      if not K.wait_room(destination) then return mailbox_full(destination) end
      state = send_local(destination, topic, select(3, ...))
    end
    if state == 0 then return true end
  end
  local taken, err = send_op(...)
  if taken ~= false then return taken, err end
  if not isyieldable() then return mailbox_full(destination) end
  return send_waiting_op(...)
end

-- spawn variants -----------------------------------------------------------------------------------------------------
local function spawn(how, builder, id, host, ...)
  if type(id) ~= "string" or id == "" or type(host) ~= "string" or host == "" then
    return invalid(how .. " requires at least id and host arguments")
  end
  local pid, err =
    spawn_op(how, builder or false, builder and builder.actor_value, builder and builder.scope_value, id, host, ...)
  if pid then K.progress() end -- spawning thousands is no runaway: the host bounds how many there are
  return pid, err
end

local variants = { "spawn", "spawn_monitored", "spawn_linked", "spawn_linked_monitored" }
for _, how in next, variants do
  M[how] = function(id, host, ...) return spawn(how, nil, id, host, ...) end
end

function M.exec(id, host, ...)
  if type(id) ~= "string" or type(host) ~= "string" then
    return invalid("exec requires at least id and host arguments")
  end
  return exec_op(false, nil, nil, id, host, ...)
end

function M.upgrade(id, ...)
  if id ~= nil and type(id) ~= "string" then return invalid("upgrade id must be a string or nil") end
  if not isyieldable() then error("attempt to upgrade inside a callback of sort, gsub or a metamethod", 2) end
  local unit, method = upgrade_op(id or "", ...)
  if not unit then return unit, method end
  K.upgrade_actor(current(), unit, method, sys.encode(...))
  return K.park() -- for ever
end

-- relations ------------------------------------------------------------------------------------------------------------
for _, verb in next, { "terminate", "cancel", "monitor", "unmonitor", "link", "unlink" } do
  local op = sys.immediate("process." .. verb)
  M[verb] = function(destination, extra)
    if type(destination) ~= "string" or destination == "" then
      return invalid(verb .. " requires a destination argument")
    end
    return op(destination, extra)
  end
end

-- options ----------------------------------------------------------------------------------------------------------------
function M.get_options()
  local a = current()
  return { trap_links = a.trap_links or false, upgradable = a.upgradable or false }
end
function M.set_options(options)
  if type(options) ~= "table" then return false, sys.error("Invalid", "options must be a table", false) end
  for k, v in next, options do
    if k ~= "trap_links" and k ~= "upgradable" then
      return false, sys.error("Invalid", "option " .. tostring(k) .. " is not supported", false)
    end
    if type(v) ~= "boolean" then return false, sys.error("Invalid", k .. " must be a boolean", false) end
  end
  local a = current()
  for k, v in next, options do a[k] = v end
  if options.upgradable ~= nil then upgradable_op(options.upgradable) end
  return true
end

M.inbox, M.events, M.listen, M.unlisten = K.inbox, K.events, K.listen, K.unlisten

-- builder ----------------------------------------------------------------------------------------------------------------
local methods = {}
local Spawner = sys.class("SpawnBuilder", methods, {
  pack = function(b) return { values = b.values, options = b.options, name = b.name, messages = b.messages } end,
  unpack = function() return nil end,
})

local function with(b, key, value)
  local copy = {}
  for k, v in next, b do copy[k] = v end
  copy[key] = value
  return sys.instance(Spawner, copy)
end

local function merged(old, new, what)
  local out = {}
  for k, v in next, old or {} do out[k] = v end
  if type(new) ~= "table" then error(what .. " must be a table", 3) end
  for k, v in next, new do
    if type(k) ~= "string" then error(what .. " keys must be strings", 3) end
    out[k] = v
  end
  return out
end

local function demand(action, resource, ...)
  local ok, err = checked_op(action, resource, ...)
  if err then error(err, 3) end
  return ok
end

function methods.with_context(b, values)
  demand("process.context", "context")
  return with(b, "values", merged(b.values, values, "context"))
end
function methods.with_options(b, options)
  demand("process.context", "context")
  local all = merged(b.options, options, "options")
  if options.network ~= nil then demand("network.select", tostring(options.network)) end
  return with(b, "options", all)
end
function methods.with_actor(b, actor)
  demand("process.security", "security")
  if not sys.is(actor, "Actor") then error("bad argument #1 to with_actor (Actor expected)", 2) end
  return with(b, "actor_value", actor)
end
function methods.with_scope(b, scope)
  demand("process.security", "security")
  if not sys.is(scope, "Scope") then error("bad argument #1 to with_scope (Scope expected)", 2) end
  return with(b, "scope_value", scope)
end
function methods.with_name(b, name)
  if type(name) ~= "string" or name == "" then error("bad argument #1 to with_name (non-empty string expected)", 2) end
  return with(b, "name", name)
end
function methods.with_message(b, topic, ...)
  if type(topic) ~= "string" or topic == "" then error("bad argument #1 to with_message (topic expected)", 2) end
  if sbyte(topic, 1) == 64 then error("cannot send to @ topics", 2) end
  local messages = {}
  for i, m in next, b.messages or {} do messages[i] = m end
  local payloads = {}
  for i = 1, select("#", ...) do
    local v = sys.copy((select(i, ...)))
    payloads[i] = v == nil and false or v
  end
  messages[#messages + 1] = { topic, payloads }
  return with(b, "messages", messages)
end
for _, how in next, variants do
  methods[how] = function(b, id, host, ...) return spawn(how, b, id, host, ...) end
end
function methods.exec(b, id, host, ...)
  if type(id) ~= "string" or type(host) ~= "string" then return invalid("exec requires at least id and host arguments") end
  return exec_op(b, b.actor_value, b.scope_value, id, host, ...)
end

local function new_builder() return sys.instance(Spawner, {}) end
for name, method in next, methods do
  if sys and string.sub(name, 1, 5) == "with_" then
    M[name] = function(...) return method(new_builder(), ...) end
  end
end

-- names ------------------------------------------------------------------------------------------------------------------
local register, lookup, unregister =
  sys.immediate("process.registry.register"), sys.immediate("process.registry.lookup"), sys.immediate("process.registry.unregister")
M.registry = {
  LOCAL = 0, EVENTUAL = 1, CONSISTENT = 2, STRONG = 3,
  register = function(name, pid, scope)
    if type(name) ~= "string" or name == "" then return invalid("name must be a non-empty string") end
    if pid ~= nil and type(pid) ~= "string" then return invalid("pid must be a string") end
    return register(name, pid, scope)
  end,
  lookup = function(name)
    if type(name) ~= "string" or name == "" then return invalid("name must be a non-empty string") end
    return lookup(name)
  end,
  unregister = function(name, scope)
    if type(name) ~= "string" or name == "" then return invalid("name must be a non-empty string") end
    return unregister(name, scope)
  end,
}
return M
