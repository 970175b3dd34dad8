-- Go-style channels and select between the tasks of one actor. Called once per VM as chunk(K), after kernel.lua.
-- Cases of a select are tried in array order. Source: docs lua/core/channel; ours where it is silent.
local K = ...
local type, error, setmetatable = type, error, setmetatable
local ready, current, task, park = K.ready, K.current, K.task, K.park
local isyieldable = coroutine.isyieldable

local methods = {}
local Channel = K.class("Channel", methods, { meta = { __tostring = function() return "channel" end } })
local Case = K.class("SelectCase", {}, {})
local channel_mt, case_mt = Channel.metatable, Case.metatable
-- An object's state is out of user code's reach, behind a private key; everything below works on states.
local P = K.P

-- A waiter is {task, value, select record}; queues are arrays with head and tail. A task that waits to receive from one
-- channel has no value and no select: its record is used again (`spare`).
local function new_state(capacity)
  local s = {
    cap = capacity, n = 0, bh = 1, bt = 0, buf = {}, sh = 1, st = 0, snd = {}, rh = 1, rt = 0, rcv = {}, closed = false,
    owner = current(), mailbox = false, topic = false, source = false, starved = false, sweep_at = 32,
    own = 0, -- buffered values that the actor sent to itself
    spare = false,
  }
  s.object = setmetatable({ [P] = s }, channel_mt)
  return s
end
K.new_state = new_state
function K.new_channel(capacity) return new_state(capacity).object end
function K.channel_state(object) return object[P] end

local function pop_receiver(ch)
  while ch.rh <= ch.rt do
    local w = ch.rcv[ch.rh]
    ch.rcv[ch.rh] = nil
    if ch.rh == ch.rt then ch.rh, ch.rt = 1, 0 else ch.rh = ch.rh + 1 end
    local s = w[3]
    if not s then return w end
    if not s.done then
      s.done = true
      return w
    end
  end
end
local function pop_sender(ch)
  while ch.sh <= ch.st do
    local w = ch.snd[ch.sh]
    ch.snd[ch.sh] = nil
    if ch.sh == ch.st then ch.sh, ch.st = 1, 0 else ch.sh = ch.sh + 1 end
    local s = w[3]
    if not s then return w end
    if not s.done then
      s.done = true
      return w
    end
  end
end

-- A receiver is resumed with the value and the channel that it is from (false: closed), a select with its result and
-- SELECTED: what a task was handed and has not seen can be told before it runs.
local SELECTED = {}
function K.handed(x, y)
  if y == SELECTED then return x.channel[P], x.value end
  if type(y) == "table" and y.rcv then return y, x end
end
local function wake_receiver(a, ch, w, v, ok)
  if w[3] then
    ready(a, w[1], { channel = ch.object, value = v, ok = ok }, SELECTED)
  else
    local co = w[1]
    w[1], ch.spare = nil, w
    ready(a, co, v, ok and ch)
  end
end
local function wake_sender(a, ch, w)
  if w[3] then ready(a, w[1], { channel = ch.object, value = w[2], ok = true }) else ready(a, w[1], true) end
end

local function try_send(a, ch, v)
  if ch.closed then error("send on closed channel", 3) end
  local w = pop_receiver(ch)
  if w then
    wake_receiver(a, ch, w, v, true)
    return true
  end
  if ch.n < ch.cap then
    local t = ch.bt + 1
    ch.bt = t
    ch.buf[t] = v
    ch.n = ch.n + 1
    if ch.mailbox then
      ch.own = ch.own + 1
      a.depth = a.depth + 1
    end
    return true
  end
  return false
end

local function try_receive(a, ch)
  if ch.n > 0 then
    local h = ch.bh
    local v = ch.buf[h]
    ch.buf[h] = nil
    ch.n = ch.n - 1
    if ch.n == 0 then ch.bh, ch.bt = 1, 0 else ch.bh = h + 1 end
    if ch.mailbox or ch.source then
      -- What comes from outside is progress: the CPU budget begins anew, for the task that took it, too, or who serves
      -- without a pause would be a runaway. What one sends oneself is no progress.
      if ch.own > 0 then
        ch.own = ch.own - 1
      else
        a.cpu = 0.0
        if a.busy then a.busy[task()] = nil end
      end
      if ch.mailbox then
        if ch.froms then ch.froms[h] = nil end
        a.depth = a.depth - 1
        if a.room then K.made_room(a) end
      end
    end
    local w = ch.sh <= ch.st and pop_sender(ch)
    if w then
      ch.bt = ch.bt + 1
      ch.buf[ch.bt] = w[2]
      ch.n = ch.n + 1
      if ch.mailbox then
        ch.own = ch.own + 1
        a.depth = a.depth + 1
      end
      wake_sender(a, ch, w)
    elseif ch.starved then
      K.drained(ch)
    end
    return true, v, true
  end
  if ch.sh <= ch.st then
    local w = pop_sender(ch)
    if w then
      wake_sender(a, ch, w)
      return true, w[2], true
    end
  end
  if ch.closed then return true, nil, false end
  return false
end

local function state_of(ch, name)
  local s = type(ch) == "table" and ch[P]
  if not s or not s.rcv then error("bad argument #1 to " .. name .. " (channel expected)", 3) end
  return s
end

-- A task that cannot wait here must not stand in a queue: what it is handed would be lost.
local function must_wait(name)
  if not isyieldable() then
    error("attempt to wait (channel " .. name .. ") inside a callback of sort, gsub or a metamethod", 3)
  end
end

function methods.send(object, v)
  local ch = state_of(object, "send")
  local a = current()
  if try_send(a, ch, v) then return true end
  must_wait("send")
  local t = ch.st + 1
  ch.st = t
  ch.snd[t] = { task(), v }
  if park() == nil then error("send on closed channel", 2) end
  return true
end

function methods.receive(object)
  local ch = type(object) == "table" and object[P]
  if not ch or not ch.rcv then ch = state_of(object, "receive") end
  local got, v, ok = try_receive(current(), ch)
  if got then return v, ok end
  if not isyieldable() then must_wait("receive") end
  local t = ch.rt + 1
  ch.rt = t
  local w = ch.spare
  if w then
    ch.spare, w[1] = false, task()
  else
    w = { task() }
  end
  ch.rcv[t] = w
  local v2, from = park()
  return v2, from ~= false
end

local function close_in(a, ch)
  if ch.closed then return end
  ch.closed = true
  local w = pop_receiver(ch)
  while w do
    wake_receiver(a, ch, w, nil, false)
    w = pop_receiver(ch)
  end
  w = pop_sender(ch)
  while w do
    ready(a, w[1], nil)
    w = pop_sender(ch)
  end
end
K.close_in = close_in
function K.close_channel(ch) close_in(ch.owner, ch) end

function methods.close(object)
  close_in(current(), state_of(object, "close"))
end

function methods.case_send(object, v)
  return setmetatable({ [P] = { ch = state_of(object, "case_send"), val = v, send = true } }, case_mt)
end
function methods.case_receive(object)
  return setmetatable({ [P] = { ch = state_of(object, "case_receive"), send = false } }, case_mt)
end

-- From the kernel: a value for a channel that the host or another actor fills, without waiting. `own`: the actor itself
-- sent it.
function K.push_channel(a, ch, v, own)
  local h = ch.rh
  if h > ch.rt then -- nobody waits
    if own then ch.own = ch.own + 1 end
    local t = ch.bt + 1
    ch.bt = t
    ch.buf[t] = v
    ch.n = ch.n + 1
    if ch.mailbox then a.depth = a.depth + 1 end
    return
  end
  local w = ch.rcv[h]
  if not w[3] then -- a task that waits for this channel alone
    ch.rcv[h] = nil
    if h == ch.rt then ch.rh, ch.rt = 1, 0 else ch.rh = h + 1 end
    if not own then a.cpu = 0.0 end
    local co = w[1]
    w[1], ch.spare = nil, w
    return ready(a, co, v, ch)
  end
  w = pop_receiver(ch)
  if own then
    if not w then ch.own = ch.own + 1 end
  elseif w then
    a.cpu = 0.0
  end
  if w then
    wake_receiver(a, ch, w, v, true)
  else
    local t = ch.bt + 1
    ch.bt = t
    ch.buf[t] = v
    ch.n = ch.n + 1
    if ch.mailbox then a.depth = a.depth + 1 end
  end
end
function K.channel_full(ch) return ch.n >= ch.cap and ch.rh > ch.rt end

local getmetatable = debug.getmetatable
-- The state of a case; anything else in the list is passed over, as the reference does.
local function case_state(c) return type(c) == "table" and getmetatable(c) == case_mt and c[P] end

local function select_cases(cases, default)
  if type(cases) ~= "table" then error("bad argument #1 to select (table expected)", 2) end
  local a = current()
  local n = #cases
  for i = 1, n do
    local c = case_state(cases[i])
    if c then
      if c.send then
        if try_send(a, c.ch, c.val) then return { channel = c.ch.object, value = c.val, ok = true } end
      else
        local got, v, ok = try_receive(a, c.ch)
        if got then return { channel = c.ch.object, value = v, ok = ok } end
      end
    end
  end
  if default or cases.default then return { default = true, ok = true } end
  must_wait("select")
  local s = { done = false }
  local me = task()
  for i = 1, n do
    local c = case_state(cases[i])
    if c then
      local ch = c.ch
      if c.send then
        local t = ch.st + 1
        ch.st = t
        ch.snd[t] = { me, c.val, s }
        if t - ch.sh > 32 then K.sweep(ch) end
      else
        local t = ch.rt + 1
        ch.rt = t
        ch.rcv[t] = { me, nil, s }
        -- Abandoned waiters of finished selects would pile up on a channel that never fires.
        if t - ch.rh > 32 then K.sweep(ch) end
      end
    end
  end
  local r = park()
  if r == nil then error("send on closed channel", 2) end
  return r
end

-- Drops waiters whose select has been decided elsewhere; amortised by doubling.
local function undecided(queue, head, tail)
  local kept, k = {}, 0
  for i = head, tail do
    local w = queue[i]
    if not (w[3] and w[3].done) then
      k = k + 1
      kept[k] = w
    end
  end
  return kept, 1, k
end
function K.sweep(ch)
  if ch.rt - ch.rh + ch.st - ch.sh < ch.sweep_at then return end
  ch.rcv, ch.rh, ch.rt = undecided(ch.rcv, ch.rh, ch.rt)
  ch.snd, ch.sh, ch.st = undecided(ch.snd, ch.sh, ch.st)
  ch.sweep_at = (ch.rt + ch.st) * 2 + 32
end

K.channel_lib = {
  new = function(size)
    if size == nil then size = 0 end
    if type(size) ~= "number" then error("bad argument #1 to new (number expected, got " .. type(size) .. ")", 2) end
    return new_state(size < 0 and 0 or size // 1).object
  end,
  select = select_cases,
}
