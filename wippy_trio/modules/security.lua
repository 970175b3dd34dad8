-- The `security` module. What an object is lives in `values`, out of its holder's reach: an actor whose id could be
-- overwritten would be any actor.
local sys = ...
local type, tostring, next, setmetatable = type, tostring, next, setmetatable
local check, argument_error, is = sys.check, sys.argument_error, sys.is
local values = setmetatable({}, { __mode = "k" }) -- instance -> its plain value
local closed = setmetatable({}, { __mode = "k" }) -- token stores given back

local actor_methods, scope_methods, policy_methods, store_methods = {}, {}, {}, {}

-- A class of immutable values; returns what makes an instance of a plain value.
local function value_class(name, methods)
  local class
  local function new(plain)
    local object = sys.instance(class, {})
    values[object] = plain
    return object
  end
  class = sys.class(name, methods, { pack = function(object) return values[object] end, unpack = new })
  return new
end
value_class("Actor", actor_methods)
local new_scope = value_class("Scope", scope_methods) -- of a list of policy ids
local new_policy = value_class("Policy", policy_methods)
sys.class("TokenStore", store_methods, { handle = true })

-- A text argument; numbers count as their text, as everywhere in Lua.
local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return check(v, "string", index, name)
end
local function meta_table(v, index, name)
  if v ~= nil then check(v, "table", index, name) end
  return v
end
local function expect(v, class, index, name)
  if not is(v, class) then argument_error(index, name, class .. " expected") end
  return v
end

-- actors ------------------------------------------------------------------------------------------------------------
function actor_methods.id(self)
  expect(self, "Actor", 1, "id")
  return values[self].id
end
function actor_methods.meta(self)
  expect(self, "Actor", 1, "meta")
  return sys.copy(values[self].meta or {})
end

-- scopes ------------------------------------------------------------------------------------------------------------
local may_create = sys.immediate("security.scope.create")
local scope_evaluate = sys.immediate("security.scope.evaluate")

local function policy_id(v, name)
  if type(v) == "string" then return v end
  if is(v, "Policy") then return values[v] end
  if type(v) == "table" and not sys.is_error(v) and v.ns ~= nil and v.name ~= nil then
    return tostring(v.ns) .. ":" .. tostring(v.name)
  end
  return argument_error(2, name, "Policy ID expected as string, table, or policy object")
end

local function without_id(ids, id)
  local rest = {}
  for i = 1, #ids do
    if ids[i] ~= id then rest[#rest + 1] = ids[i] end
  end
  return rest
end

scope_methods["with"] = function(self, policy)
  expect(self, "Scope", 1, "with")
  expect(policy, "Policy", 2, "with")
  may_create("with")
  local ids = without_id(values[self], values[policy])
  ids[#ids + 1] = values[policy]
  return new_scope(ids)
end
function scope_methods.without(self, policy)
  expect(self, "Scope", 1, "without")
  local id = policy_id(policy, "without")
  may_create("without")
  return new_scope(without_id(values[self], id))
end
function scope_methods.contains(self, policy)
  expect(self, "Scope", 1, "contains")
  local id = policy_id(policy, "contains")
  local ids = values[self]
  for i = 1, #ids do
    if ids[i] == id then return true end
  end
  return false
end
function scope_methods.policies(self)
  expect(self, "Scope", 1, "policies")
  local list, ids = {}, values[self]
  for i = 1, #ids do
    list[i] = new_policy(ids[i])
  end
  return list
end
function scope_methods.evaluate(self, actor, action, resource, meta)
  expect(self, "Scope", 1, "evaluate")
  expect(actor, "Actor", 2, "evaluate")
  return scope_evaluate(self, actor, text(action, 3, "evaluate"), text(resource, 4, "evaluate"),
    meta_table(meta, 5, "evaluate"))
end

-- policies ----------------------------------------------------------------------------------------------------------
local policy_evaluate = sys.immediate("security.policy.evaluate")
function policy_methods.id(self)
  expect(self, "Policy", 1, "id")
  return values[self]
end
function policy_methods.evaluate(self, actor, action, resource, meta)
  expect(self, "Policy", 1, "evaluate")
  expect(actor, "Actor", 2, "evaluate")
  return policy_evaluate(values[self], actor, text(action, 3, "evaluate"), text(resource, 4, "evaluate"),
    meta_table(meta, 5, "evaluate"))
end

-- token stores ------------------------------------------------------------------------------------------------------
local create, validate = sys.waiting("security.token.create"), sys.waiting("security.token.validate")
local revoke, give_back = sys.waiting("security.token.revoke"), sys.immediate("security.token_store.close")

local function closed_error() return sys.error("Internal", "token store is closed", false) end

function store_methods.create(self, actor, scope, options)
  expect(self, "TokenStore", 1, "create")
  if closed[self] then return nil, closed_error() end
  expect(actor, "Actor", 2, "create")
  expect(scope, "Scope", 3, "create")
  return create(self, actor, scope, meta_table(options, 4, "create"))
end
function store_methods.validate(self, token)
  expect(self, "TokenStore", 1, "validate")
  if closed[self] then return nil, nil, closed_error() end
  local actor, scope = validate(self, text(token, 2, "validate"))
  if actor == nil then return nil, nil, scope end
  return actor, scope, nil
end
function store_methods.revoke(self, token)
  expect(self, "TokenStore", 1, "revoke")
  if closed[self] then return nil, closed_error() end
  return revoke(self, text(token, 2, "revoke"))
end
function store_methods.close(self)
  expect(self, "TokenStore", 1, "close")
  if not closed[self] then
    closed[self] = true
    give_back(self)
  end
  return true
end

-- the module --------------------------------------------------------------------------------------------------------
local can, new_actor = sys.immediate("security.can"), sys.immediate("security.new_actor")
local policy, named_scope = sys.immediate("security.policy"), sys.immediate("security.named_scope")
local token_store = sys.immediate("security.token_store")

return {
  actor = sys.immediate("security.actor"),
  scope = sys.immediate("security.scope"),
  can = function(action, resource, meta)
    return can(text(action, 1, "can"), text(resource, 2, "can"), meta_table(meta, 3, "can"))
  end,
  new_actor = function(id, meta) return new_actor(text(id, 1, "new_actor"), meta_table(meta, 2, "new_actor")) end,
  new_scope = function(policies)
    may_create("custom")
    local ids = {}
    if meta_table(policies, 1, "new_scope") then
      for _, v in next, policies do
        if is(v, "Policy") then
          ids = without_id(ids, values[v])
          ids[#ids + 1] = values[v]
        end
      end
    end
    return new_scope(ids)
  end,
  policy = function(id) return policy(text(id, 1, "policy")) end,
  named_scope = function(id) return named_scope(text(id, 1, "named_scope")) end,
  token_store = function(id)
    id = text(id, 1, "token_store")
    if id == "" then return nil, sys.error("Invalid", "token store id is required", false) end
    return token_store(id)
  end,
}
