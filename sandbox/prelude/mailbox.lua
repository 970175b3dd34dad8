-- Mailboxes: topics, inbox and events of an actor, messages and payloads. Called once per VM as chunk(K), after
-- channel.lua. Delivery rules (docs lua/core/process): a listener of the topic first; else the inbox, once it was asked
-- for, except for reserved @ topics; else the message stays pending until someone listens. Nothing is dropped: a full
-- mailbox refuses, and the sender is told.
local K = ...
local type, error, setmetatable, select, next, sbyte = type, error, setmetatable, select, next, string.byte
local sort, rawget = table.sort, rawget
local rawmeta, error_mt = debug.getmetatable, K.Error.metatable
local INBOX, EVENTS, OUTDATED = "@pid/inbox", "@pid/events", "pid.outdated"
local actors, current, push, copy = K.actors, K.current, K.push_channel, K.copy

-- payloads ---------------------------------------------------------------------------------------------------------
local payload_methods = {}
local payload_mt
local Payload = K.class("Payload", payload_methods, {
  copy = function(p) return setmetatable({ K.copy(p[1]), p[2], raw = p.raw }, payload_mt) end,
  meta = { __tostring = function(p) return "payload{" .. p[2] .. "}" end },
})
payload_mt = Payload.metatable
K.Payload, K.payload_methods = Payload, payload_methods

-- A payload is {value, format}. `raw` holds a value still in `format` (JSON text and the like).
function K.new_payload(value, format, raw)
  return setmetatable({ value, format or (K.is_error(value) and "golang/error" or "lua/any"), raw = raw }, payload_mt)
end
function payload_methods.get_format(p) return p[2] end
function payload_methods.data(p) return p[1] end
function payload_methods.unmarshal(p) return p[1] end

-- messages ---------------------------------------------------------------------------------------------------------
local message_methods = {}
local Message = K.class("Message", message_methods, {
  meta = { __tostring = function(m) return "message{topic=" .. m[1] .. "}" end },
})
local message_mt = Message.metatable
function message_methods.topic(m) return m[1] end
function message_methods.from(m) return m[2] end
function message_methods.payload(m)
  local n = m[3]
  if n == 1 then
    local p = m[4]
    return setmetatable({ p, rawmeta(p) == error_mt and "golang/error" or "lua/any" }, payload_mt)
  elseif n == 0 then
    return nil
  end
  local list = {}
  for i = 1, n do list[i] = K.new_payload(m[4][i]) end
  return list
end

-- `v` is the value itself when n == 1, the array of values when n > 1.
local function as_value(sub, topic, from, n, v)
  if sub.message then return setmetatable({ topic, from, n, v }, message_mt) end
  if n == 0 then return nil end
  return v
end

-- A plain value that is about to wait in a channel: whose it is, for an upgrade, after which it is a message again.
local function note_source(ch, from, n)
  local froms = ch.froms
  if not froms then
    froms = {}
    ch.froms = froms
  end
  froms[ch.bt + 1] = n == 1 and from or { from, n }
end

local function deliver(a, topic, from, n, v)
  local sub = a.topics[topic]
  if not sub and a.inbox and sbyte(topic, 1) ~= 64 then sub = a.inbox end
  if sub then
    local ch = sub.channel
    local waits = ch.rh > ch.rt
    if waits and a.depth >= a.mailbox then return 2 end
    if sub.message then
      v = setmetatable({ topic, from, n, v }, message_mt)
    else
      if waits then note_source(ch, from, n) end
      if n == 0 then v = nil end
    end
    push(a, ch, v, from == a.pid)
    -- Handed over, it took no room: there is some for the next who waits.
    if not waits and a.room and a.depth < a.mailbox then K.made_room(a) end
    return 0
  end
  if a.depth >= a.mailbox then return 2 end
  local pending = a.pending
  if not pending then
    pending = {}
    a.pending = pending
  end
  pending[#pending + 1] = { topic, from, n, v }
  a.depth = a.depth + 1
  return 0
end
K.deliver_now = deliver

-- From Python: payloads encoded as one array. 0 = taken, 1 = no such actor, 2 = mailbox full.
function K.deliver(id, topic, from, data)
  local a = actors[id]
  if not a then return 1 end
  if a.depth >= a.mailbox then return 2 end
  local n, t = K.decode_list(data)
  if n == 1 then return deliver(a, topic, from, 1, t[1]) end
  return deliver(a, topic, from, n, t)
end

-- The OUTDATED event that nobody has taken yet; there is at most one.
local function find_outdated(a)
  local sub = a.topics[EVENTS]
  if sub then
    local ch = sub.channel
    for i = ch.bh, ch.bt do
      local v = ch.buf[i] -- the program may have put something of its own there
      if type(v) == "table" and rawget(v, "kind") == OUTDATED then return v end
    end
  end
  local pending = a.pending or {}
  for i = 1, #pending do
    local v = pending[i][1] == EVENTS and pending[i][4]
    if type(v) == "table" and rawget(v, "kind") == OUTDATED then return v end
  end
end

-- The code of the actor is replaced by what is current: OUTDATED events it has not taken tell nothing any more.
function K.drop_outdated(a)
  local pending = a.pending
  if not pending then return end
  local kept = {}
  for i = 1, #pending do
    local m = pending[i]
    local v = m[1] == EVENTS and m[4]
    if type(v) ~= "table" or rawget(v, "kind") ~= OUTDATED then kept[#kept + 1] = m end
  end
  a.pending = kept[1] and kept or nil
end

-- Adds an event's sources to the one that waits.
local function merge_outdated(a, event)
  local waiting = find_outdated(a)
  if not waiting then return false end
  local known, all = {}, {}
  for _, list in next, { waiting.sources, event.sources } do
    for i = 1, #list do
      if not known[list[i]] then
        known[list[i]] = true
        all[#all + 1] = list[i]
      end
    end
  end
  sort(all)
  waiting.sources = all
  return true
end

-- A lifecycle event (CANCEL, EXIT, LINK_DOWN, OUTDATED): events are never refused, for each is sent once.
function K.event(id, data)
  local a = actors[id]
  if not a then return 1 end
  local event = K.decode(data)
  event.type = event.kind -- the brief's spelling
  if event.kind == OUTDATED and merge_outdated(a, event) then return 0 end
  if event.kind == "pid.link.down" and not a.trap_links then
    K.fail(id, K.encode_message(K.new_error("Internal", "linked process failed", nil, { from = event.from })))
    return 0
  end
  local sub = a.topics[EVENTS]
  if sub then
    push(a, sub.channel, event, event.from == a.pid)
  else
    a.pending = a.pending or {}
    a.pending[#a.pending + 1] = { EVENTS, event.from or "", 1, event }
  end
  return 0
end

-- subscriptions ------------------------------------------------------------------------------------------------------
local function flush(a, matches, sub)
  local pending = a.pending
  if not pending then return end
  local kept = {}
  for i = 1, #pending do
    local m = pending[i]
    if matches(m[1]) then
      if m[1] ~= EVENTS then a.depth = a.depth - 1 end
      if not sub.message and sub.channel.rh > sub.channel.rt then note_source(sub.channel, m[2], m[3]) end
      push(a, sub.channel, as_value(sub, m[1], m[2], m[3], m[4]), m[2] == a.pid)
    else
      kept[#kept + 1] = m
    end
  end
  a.pending = kept[1] and kept or nil
end

local function subscribe(a, topic, message)
  local sub = a.topics[topic]
  if sub then
    if message ~= nil then sub.message = message end
    return sub
  end
  local ch = K.new_state(topic == INBOX and 0 or 1)
  ch.mailbox, ch.topic = true, topic
  if topic == EVENTS then ch.mailbox = false end
  sub = { channel = ch, message = message or false }
  a.topics[topic] = sub
  return sub
end

function K.inbox()
  local a = current()
  local sub = a.topics[INBOX]
  if not sub then
    sub = subscribe(a, INBOX, true)
    a.inbox = sub
    flush(a, function(topic) return sbyte(topic, 1) ~= 64 end, sub)
  end
  return sub.channel.object
end

function K.events()
  local a = current()
  local sub = a.topics[EVENTS]
  if not sub then
    sub = subscribe(a, EVENTS, false)
    flush(a, function(topic) return topic == EVENTS end, sub)
  end
  return sub.channel.object
end

function K.listen(topic, options)
  if type(topic) ~= "string" or topic == "" then
    return nil, K.new_error("Invalid", "topic must be a non-empty string", false)
  end
  if sbyte(topic, 1) == 64 then return nil, K.new_error("Invalid", "cannot listen to @ topics", false) end
  local a = current()
  local message
  if type(options) == "table" then message = options.message and true or false end
  local known = a.topics[topic]
  local sub = subscribe(a, topic, message)
  if not known then flush(a, function(t) return t == topic end, sub) end
  return sub.channel.object
end

function K.unlisten(object)
  if K.is_object(object) ~= "Channel" then error("bad argument #1 to unlisten (channel expected)", 2) end
  local a, ch = current(), K.channel_state(object)
  local topic = ch.topic
  if not topic or not a.topics[topic] or a.topics[topic].channel ~= ch then
    return false, K.new_error("NotFound", "channel is not subscribed", false)
  end
  a.topics[topic] = nil
  if topic == INBOX then a.inbox = nil end
  if ch.mailbox then
    a.depth = a.depth - ch.n
    for _ = 1, ch.n do
      if a.room then K.made_room(a) end
    end
  end
  ch.topic, ch.mailbox = false, false
  K.close_in(a, ch)
  return true
end

-- subscribe(topic, channel): messages of a topic go into a channel of the program's own.
function K.bind(topic, object)
  if type(topic) ~= "string" or topic == "" then error("bad argument #1 to subscribe (string expected)", 2) end
  if K.is_object(object) ~= "Channel" then error("bad argument #2 to subscribe (channel expected)", 2) end
  local a, ch = current(), K.channel_state(object)
  local known = a.topics[topic]
  if known then
    if known.channel == ch then return true end
    return nil, K.new_error("AlreadyExists", "topic already subscribed: " .. topic, false)
  end
  if not ch.mailbox then
    a.depth = a.depth + ch.n
    ch.own = ch.n
  end
  ch.topic, ch.mailbox = topic, true
  local sub = { channel = ch, message = false }
  a.topics[topic] = sub
  flush(a, function(t) return t == topic end, sub)
  return true
end
function K.unbind(topic)
  local a = current()
  local sub = type(topic) == "string" and a.topics[topic]
  if not sub then return false end
  return K.unlisten(sub.channel.object)
end

-- sending inside the VM: the fast road between actors of one shard ------------------------------------------------
local by_pid = {}
K.by_pid = by_pid

-- Sends one payload, as nearly all messages have, to an actor of this VM; returns nil when there is none here (the relay
-- takes over), else 0 or 2.
local function send_one(to, topic, payload)
  local a = by_pid[to]
  if not a or a.dead then return nil end
  if a.depth >= a.mailbox then -- full, unless somebody waits: nothing is copied for nothing
    local sub = a.topics[topic] or a.inbox
    if not sub or sub.channel.rh > sub.channel.rt then return 2 end
  end
  local me = current()
  local from = me.pid or K.make_known(me)
  payload = copy(payload)
  if a.dead then return nil end -- copying much gives way to others
  return deliver(a, topic, from, 1, payload)
end
K.send_one = send_one

-- The same for any number of payloads.
function K.send_local(to, topic, ...)
  local n = select("#", ...)
  if n == 1 then return send_one(to, topic, (...)) end
  local a = by_pid[to]
  if not a or a.dead then return nil end
  local me = current()
  local from = me.pid or K.make_known(me)
  local v = { ... }
  for i = 1, n do v[i] = copy(v[i]) end
  if a.dead then return nil end
  return deliver(a, topic, from, n, v)
end

-- The senders that wait for room in a mailbox, in the order they came: {actor, task}, or HOST for those in Python.
local HOST = {}
local function wait_line(a, waiter)
  local room = a.room
  if not room then
    room = { head = 1, tail = 0 }
    a.room = room
  end
  local t = room.tail + 1
  room.tail = t
  room[t] = waiter
end

-- From Python: tell (OP_DRAIN of source 0) when the actor has room again; false when it is gone.
function K.want_room(id)
  local a = actors[id]
  if not a then return false end
  wait_line(a, HOST)
  return true
end

-- Parks the running task until the actor has room again, or is gone (true); false when it cannot wait: an actor that
-- fills its own mailbox would wait for itself.
local isyieldable = coroutine.isyieldable
function K.wait_room(to)
  local a = by_pid[to]
  if not a then return true end
  local me = current()
  if a == me or not isyieldable() then return false end
  local t = K.task()
  wait_line(a, { me, t })
  K.park()
  if me.called then me.called[t] = nil end
  return true
end

-- A message was taken: the sender that waits longest and still lives goes on. One in Python may be gone by the time that
-- it is told, so that the next goes on as well.
function K.made_room(a)
  local room = a.room
  while room.head <= room.tail do
    local w = room[room.head]
    room[room.head] = nil
    room.head = room.head + 1
    if w == HOST then
      K.emit(K.OP_DRAIN, a.id, 0, "", 0)
    elseif not w[1].dead and w[1].alive[w[2]] then
      w[1].called = w[1].called or {}
      w[1].called[w[2]] = a
      K.ready(w[1], w[2])
      break
    end
  end
  if room.head > room.tail then a.room = nil end
end

-- The tasks of an actor are no more: where one was to go on because there is room, the next does. (Sorted, for the order
-- of keys depends on the run.)
function K.pass_on(a)
  if not a.called then return end
  local full = {}
  for _, other in next, a.called do full[#full + 1] = other end
  a.called = nil
  sort(full, function(one, other) return one.id < other.id end)
  for i = 1, #full do if full[i].room then K.made_room(full[i]) end end
end

function K.on_actor_end(a)
  if a.pid then by_pid[a.pid] = nil end
  K.pass_on(a)
  while a.room do K.made_room(a) end
end
