-- pg: named groups of processes.
local sys, K = ...
local type, tostring, setmetatable, sbyte = type, tostring, setmetatable, string.byte
local select_now = K.channel_lib.select
local BUFFER = 64 -- events a subscription's channel holds; more wait outside

local open, release, unwatch = sys.immediate("pg.open"), sys.immediate("pg.release"), sys.immediate("pg.unwatch")
local join, leave = sys.immediate("pg.join"), sys.immediate("pg.leave")
local members, groups = sys.immediate("pg.members"), sys.immediate("pg.groups")
local broadcast = sys.waiting("pg.broadcast")
local monitor, events = sys.immediate("pg.monitor"), sys.immediate("pg.events")

-- Objects' states stay here, out of reach of programs.
local scopes = setmetatable({}, { __mode = "k" }) -- Instance -> {id, scope or false}
local watches = setmetatable({}, { __mode = "k" }) -- Subscription -> {channel, source, watch or false}
sys.class("pg.Scope", {}, { handle = true })
sys.class("pg.Watch", {}, { handle = true })

local function invalid(message) return nil, sys.error("Invalid", message, false) end

local function state_of(v, name)
  local state = scopes[v]
  if not state then sys.argument_error(1, name, "pg.Instance expected") end
  return state
end

local function scope_of(v, name)
  local scope = state_of(v, name).scope
  if not scope then return nil, sys.error("Invalid", "pg instance is released", false) end
  return scope
end

-- subscriptions -------------------------------------------------------------------------------------------------------
local sub_methods = {}
local Subscription = sys.class("pg.Subscription", sub_methods, {
  meta = { __tostring = function() return "pg.Subscription{}" end },
})

local function watch_of(v, name)
  local state = watches[v]
  if not state then sys.argument_error(1, name, "pg.Subscription expected") end
  return state
end

function sub_methods.channel(self) return watch_of(self, "channel").channel end

local function empty(channel)
  local case = channel:case_receive()
  repeat
    local got = select_now({ case, default = true })
  until got.default or not got.ok
end

-- Events that were told before stay receivable, unless they are flushed away.
function sub_methods.close(self, options)
  local state = watch_of(self, "close")
  if not state.watch then return true end
  unwatch(state.watch)
  state.watch = false
  if type(options) == "table" and options.flush == true then empty(state.channel) end
  sys.drop_source(state.source)
  return true
end

local function subscribed(channel, source, watch, snapshot)
  if not watch then
    sys.drop_source(source)
    return nil, snapshot, snapshot -- an error: where a program looks for it after two values, and after three
  end
  local object = sys.instance(Subscription, {})
  watches[object] = { channel = channel, source = source, watch = watch }
  return object, snapshot, nil
end

-- instances -----------------------------------------------------------------------------------------------------------
local methods = {}
local Instance = sys.class("pg.Instance", methods, {
  meta = {
    __tostring = function(self)
      local state = scopes[self]
      return "pg.Instance{" .. state.id .. (state.scope and "}" or ", released}")
    end,
  },
})

local function text(v, index, name) return sys.check(v, "string", index, name) end

function methods.join(self, names)
  local scope, err = scope_of(self, "join")
  if not scope then return nil, err end
  return join(scope, names)
end
function methods.leave(self, names)
  local scope, err = scope_of(self, "leave")
  if not scope then return nil, err end
  return leave(scope, names)
end

for _, name in ipairs({ "get_members", "get_local_members" }) do
  local is_local = name == "get_local_members"
  methods[name] = function(self, group)
    local scope, err = scope_of(self, name)
    if not scope then return nil, err end
    if text(group, 2, name) == "" then return invalid("group name is required") end
    return members(scope, group, is_local)
  end
end
for _, name in ipairs({ "which_groups", "which_local_groups" }) do
  local is_local = name == "which_local_groups"
  methods[name] = function(self)
    local scope, err = scope_of(self, name)
    if not scope then return nil, err end
    return groups(scope, is_local)
  end
end
for _, name in ipairs({ "broadcast", "broadcast_local" }) do
  local is_local = name == "broadcast_local"
  methods[name] = function(self, group, topic, ...)
    local scope, err = scope_of(self, name)
    if not scope then return nil, err end
    if text(group, 2, name) == "" then return invalid("group name is required") end
    if text(topic, 3, name) == "" then return invalid("topic is required") end
    if sbyte(topic, 1) == 64 then return invalid("cannot send to @ topics") end
    return broadcast(scope, is_local, group, topic, ...)
  end
end

function methods.monitor(self, group)
  local scope, err = scope_of(self, "monitor")
  if not scope then return nil, err end
  if text(group, 2, "monitor") == "" then return invalid("group name is required") end
  local channel, source = sys.source(BUFFER)
  return subscribed(channel, source, monitor(scope, source, group))
end
function methods.events(self)
  local scope, err = scope_of(self, "events")
  if not scope then return nil, err end
  local channel, source = sys.source(BUFFER)
  return subscribed(channel, source, events(scope, source))
end

function methods.release(self)
  local state = state_of(self, "release")
  if state.scope then
    release(state.scope)
    state.scope = false
  end
  return true
end

return {
  open = function(id)
    local scope, err = open(text(id, 1, "open"))
    if not scope then return nil, err end
    local object = sys.instance(Instance, {})
    scopes[object] = { id = tostring(id), scope = scope }
    return object
  end,
}
