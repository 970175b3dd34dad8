-- funcs: call functions, at once or as futures. Source: docs lua/core/funcs, lua/core/future.
local sys, K = ...
local type, next, error = type, next, error
local call_op, async_op = sys.waiting("funcs.call"), sys.async("funcs.call")
local check_op = sys.immediate("funcs.check")
K.serve_calls(K.ops)
local begin_inside, await_inside, granted = K.begin_inside, K.await_inside, K.granted
local encode = sys.encode_message -- arguments cross to another actor: one encoded list

-- futures: shared with contract through sys.future ---------------------------------------------------------------------
local future = {}
local Future = sys.class("Future", future, {})

-- `ch` is the channel of sys.async: it yields the first result or an Error; user code gets a Payload or the Error.
local function new_future(ch, id)
  local f = { channel_value = K.new_channel(1), command = id, state = { done = false } }
  local outward, state = f.channel_value, f.state
  sys.spawn(function()
    local v = ch:receive()
    state.done = true
    if sys.is_error(v) then
      state.failure = v
      outward:send(v)
    else
      state.value = sys.payload(v)
      outward:send(state.value)
    end
    outward:close()
  end)
  return sys.instance(Future, f)
end
sys.new_future = new_future

function future.response(f) return f.channel_value end
future.channel = future.response
function future.is_complete(f) return f.state.done end
function future.is_canceled(f) return f.state.canceled or false end
local function canceled() return nil, sys.error("Canceled", "future was canceled", false) end
function future.result(f)
  local s = f.state
  if s.canceled then return canceled() end
  if not s.done then return nil, nil end
  if s.failure then return nil, s.failure end
  return s.value
end
function future.error(f)
  local s = f.state
  if s.failure then return s.failure, true end
  return nil, false
end
function future.cancel(f)
  local s = f.state
  if not s.done then
    s.canceled = true
    sys.cancel(f.command)
  end
  return true
end
-- Ours: waits for the outcome (the value itself), at most `timeout` (a duration) long.
function future.await(f, timeout)
  local s = f.state
  if s.canceled then return canceled() end
  if not s.done then
    if timeout == nil then
      f.channel_value:receive()
    else
      local ch, id = sys.async("funcs.sleep")(timeout)
      local r = K.channel_lib.select({ f.channel_value:case_receive(), ch:case_receive() })
      if r.channel == ch then
        if sys.is_error(r.value) then return nil, r.value end
        return nil, sys.error("Timeout", "future did not complete in time", true)
      end
      sys.cancel(id)
    end
  end
  if s.canceled then return canceled() end
  if s.failure then return nil, s.failure end
  if s.value == nil then return nil end
  return s.value:data()
end

-- calls ------------------------------------------------------------------------------------------------------------------
local function bad_target(target)
  if type(target) ~= "string" or target == "" then return sys.error("Invalid", "target must be a non-empty string", false) end
  local ns, name = target:match("^([^:]*):(.*)$")
  if not ns or ns == "" or name == "" then
    return sys.error("Invalid", "invalid function id '" .. target .. "': expected namespace:name", false)
  end
end

local M = {}
function M.call(target, ...)
  local err = granted[target] == nil and bad_target(target)
  if err then return nil, err end
  if begin_inside(target, ...) then return await_inside() end
  return call_op(false, nil, nil, target, encode(...))
end
function M.async(target, ...)
  local err = bad_target(target)
  if err then return nil, err end
  local _, denied = check_op("funcs.call", target)
  if denied then return nil, denied end
  return new_future(async_op(false, nil, nil, target, encode(...)))
end

local methods = {}
local Executor = sys.class("Executor", methods, {
  pack = function(e) return { values = e.values, options = e.options } end,
  unpack = function() return nil end,
})
local function with(e, key, value)
  local copy = {}
  for k, v in next, e do copy[k] = v end
  copy[key] = value
  return sys.instance(Executor, copy)
end
function M.new() return sys.instance(Executor, {}) end

function methods.with_context(e, values)
  sys.check(values, "table", 1, "with_context")
  local _, denied = check_op("funcs.context", "context")
  if denied then return nil, denied end
  local all = {}
  for k, v in next, e.values or {} do all[k] = v end
  for k, v in next, values do
    if type(k) == "string" then all[k] = v end
  end
  return with(e, "values", all)
end
function methods.with_actor(e, actor)
  if not sys.is(actor, "Actor") then error("bad argument #1 to with_actor (Actor expected)", 2) end
  local _, denied = check_op("funcs.security", "security")
  if denied then return nil, denied end
  return with(e, "actor_value", actor)
end
function methods.with_scope(e, scope)
  if not sys.is(scope, "Scope") then error("bad argument #1 to with_scope (Scope expected)", 2) end
  local _, denied = check_op("funcs.security", "security")
  if denied then return nil, denied end
  return with(e, "scope_value", scope)
end
function methods.with_options(e, options)
  sys.check(options, "table", 1, "with_options")
  if options.network ~= nil then
    local _, denied = check_op("network.select", K.tostring(options.network))
    if denied then return nil, denied end
  end
  return with(e, "options", sys.copy(options))
end
function methods.call(e, target, ...)
  local err = bad_target(target)
  if err then return nil, err end
  return call_op(e, e.actor_value, e.scope_value, target, encode(...))
end
function methods.async(e, target, ...)
  local err = bad_target(target)
  if err then return nil, err end
  local _, denied = check_op("funcs.call", target)
  if denied then return nil, denied end
  return new_future(async_op(e, e.actor_value, e.scope_value, target, encode(...)))
end
return M
