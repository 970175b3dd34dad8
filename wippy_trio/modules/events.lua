-- The `events` module.
local sys = ...
local type, tostring, setmetatable = type, tostring, setmetatable
local BUFFER = 64 -- events a subscription holds for a reader that is behind, as in the reference

local subscribe, close, send = sys.immediate("events.subscribe"), sys.immediate("events.close"), sys.immediate("events.send")
local open = setmetatable({}, { __mode = "k" }) -- subscription -> {channel, source, listening}
local methods = {}
local Subscription = sys.class("events.Subscription", methods, {
  meta = { __tostring = function() return "events.Subscription{}" end },
})
sys.class("events.Listening", {}, { handle = true })

local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", index, name)
end
local function required(v, what)
  if v == "" then return sys.error("Invalid", what .. " is required", false) end
end
local function state_of(v, name)
  local state = open[v]
  if not state then sys.argument_error(1, name, "subscription expected") end
  return state
end

function methods.channel(self) return state_of(self, "channel").channel end

function methods.close(self)
  local state = state_of(self, "close")
  if state.listening then
    close(state.listening)
    state.listening = nil
    sys.drop_source(state.source)
  end
  return true
end

return {
  subscribe = function(system, kind)
    local missing = required(text(system, 1, "subscribe"), "system pattern")
    if missing then return nil, missing end
    if kind ~= nil then kind = text(kind, 2, "subscribe") end
    local channel, source = sys.source(BUFFER)
    local listening, problem = subscribe(source, tostring(system), kind or "")
    if not listening then
      sys.drop_source(source)
      return nil, problem
    end
    local subscription = sys.instance(Subscription, {})
    open[subscription] = { channel = channel, source = source, listening = listening }
    return subscription, nil
  end,
  send = function(system, kind, path, data)
    local missing = required(text(system, 1, "send"), "system") or required(text(kind, 2, "send"), "kind")
      or required(text(path, 3, "send"), "path")
    if missing then return nil, missing end
    return send(tostring(system), tostring(kind), tostring(path), data)
  end,
}
