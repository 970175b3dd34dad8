-- contract: services behind named interfaces. Source: docs lua/core/contract.
-- What an object may do (identity, context values, functions) lives in `values`, out of its holder's reach.
local sys, K = ...
local type, next, tostring, setmetatable, sub = type, next, tostring, setmetatable, string.sub
local check, argument_error, is, copy = sys.check, sys.argument_error, sys.is, sys.copy
local values = setmetatable({}, { __mode = "k" })

local check_op, get_op = sys.immediate("contract.check"), sys.immediate("contract.get")
local implementations_op, open_op = sys.immediate("contract.implementations"), sys.immediate("contract.open")
local call_op, async_op = sys.waiting("contract.call"), sys.async("contract.call")

local function plain_table(v)
  if type(v) == "table" and not K.is_object(v) then return v end
  return nil
end
local function expect(v, class, name)
  if not is(v, class) then argument_error(1, name, class .. " expected") end
  return values[v]
end
-- Call options: text keys only. The network of a call is the caller's choice only with permission, as in funcs.
local function options_of(given)
  local options = {}
  for k, v in next, given do
    if type(k) == "string" then options[k] = copy(v) end
  end
  if options.network ~= nil then
    local name = tostring(options.network)
    local _, denied = check_op("network.select", name, "not allowed to select network: " .. name)
    if denied then return nil, denied end
  end
  return options
end

-- instances ----------------------------------------------------------------------------------------------------------
-- A method is a function that passes over its first argument: instance:method(...).
local function sync_method(held, target)
  return function(_, ...) return call_op(target, held.builder, held.actor, held.scope, ...) end
end
local function async_method(held, target)
  local denial = "not allowed to call method: " .. target.method
  return function(_, ...)
    local _, denied = check_op("contract.call", target.method, denial)
    if denied then return nil, denied end
    return sys.new_future(async_op(target, held.builder, held.actor, held.scope, ...))
  end
end

local Instance = sys.class("contract.Instance", {}, {
  index = function(instance, key)
    local held = values[instance]
    local made = held and held.made[key]
    if made or not held or type(key) ~= "string" then return made end
    local methods = held.methods
    if #key > 6 and sub(key, -6) == "_async" then
      local target = methods[sub(key, 1, -7)]
      made = target and async_method(held, target)
    elseif methods[key] then
      made = sync_method(held, methods[key])
    end
    held.made[key] = made
    return made
  end,
})

-- Opens a binding, or with nil the default one of `contract`; `wrapper` holds context, identity and options.
local function open(binding, contract, wrapper, scope)
  local found, err = open_op(binding, contract, wrapper.context, plain_table(scope))
  if err then return nil, err end
  local instance = sys.instance(Instance, {})
  values[instance] = {
    contracts = found.contracts, methods = found.methods, made = {},
    builder = { values = found.values, options = wrapper.options },
    actor = wrapper.actor, scope = wrapper.scope,
  }
  return instance
end

-- contracts ----------------------------------------------------------------------------------------------------------
local methods = {}
local Contract = sys.class("contract.Contract", methods, {})
local function make(wrapper)
  local contract = sys.instance(Contract, {})
  values[contract] = wrapper
  return contract
end
local function with(contract, key, value)
  local changed = {}
  for k, v in next, values[contract] do changed[k] = v end
  changed[key] = value
  return make(changed)
end

function methods.id(c) return expect(c, "contract.Contract", "id").definition.id end
function methods.methods(c) return copy(expect(c, "contract.Contract", "methods").definition.methods) end
function methods.method(c, name)
  local definition = expect(c, "contract.Contract", "method").definition
  check(name, "string", 2, "method")
  for _, method in next, definition.methods do
    if method.name == name then return copy(method) end
  end
  return nil, sys.error("NotFound", "method '" .. name .. "' not found in contract '" .. definition.id .. "'", false)
end
function methods.implementations(c)
  return implementations_op(expect(c, "contract.Contract", "implementations").definition.id)
end
function methods.open(c, binding, scope)
  local wrapper = expect(c, "contract.Contract", "open")
  if binding ~= nil then check(binding, "string", 2, "open") end
  return open(binding, wrapper.definition.id, wrapper, scope)
end

function methods.with_context(c, given)
  local wrapper = expect(c, "contract.Contract", "with_context")
  local _, denied = check_op("contract.context", "context", "not allowed to use contracts with custom context")
  if denied then return nil, denied end
  check(given, "table", 2, "with_context")
  local context = {}
  for k, v in next, wrapper.context or {} do context[k] = v end
  for k, v in next, given do
    if type(k) == "string" then context[k] = copy(v) end
  end
  return with(c, "context", context)
end
local function secured(name, class, key)
  return function(c, given)
    expect(c, "contract.Contract", name)
    local denial = "not allowed to use contracts with custom security context"
    local _, denied = check_op("contract.security", "security", denial)
    if denied then return nil, denied end
    if not is(given, class) then argument_error(2, name, class .. " expected") end
    return with(c, key, given)
  end
end
methods.with_actor = secured("with_actor", "Actor", "actor")
methods.with_scope = secured("with_scope", "Scope", "scope")
function methods.with_options(c, given)
  expect(c, "contract.Contract", "with_options")
  check(given, "table", 2, "with_options")
  local options, denied = options_of(given)
  if denied then return nil, denied end
  return with(c, "options", options)
end

-- the module ---------------------------------------------------------------------------------------------------------
local M = {}
function M.get(id)
  local definition, err = get_op(check(id, "string", 1, "get"))
  if err then return nil, err end
  return make({ definition = definition })
end
function M.open(binding, scope, given)
  check(binding, "string", 1, "open")
  local wrapper = {}
  if plain_table(given) then
    local options, denied = options_of(given)
    if denied then return nil, denied end
    wrapper.options = options
  end
  return open(binding, nil, wrapper, scope)
end
function M.find_implementations(id) return implementations_op(check(id, "string", 1, "find_implementations")) end
M["is"] = function(instance, id)
  if not K.is_object(instance) then argument_error(1, "is", "userdata expected") end
  check(id, "string", 2, "is")
  local held = is(instance, "contract.Instance") and values[instance]
  return held and held.contracts[id] or false
end
return M
