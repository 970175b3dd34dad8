-- Calls of functions inside the VM: workers that live beside their callers. Called once per VM as chunk(K), after
-- units.lua. The host grants a function's workers to a VM, one by one, and can take them back (K.revoke). A call has no
-- PID, no record in the host and no frame of its own until it asks for something of the host (K.make_known): most never do.
local K = ...
local cocreate, isyieldable, error, unpack = coroutine.create, coroutine.isyieldable, error, table.unpack
local select, next, ssub = select, next, string.sub
local host, actors, ready, emit, current, task = K.host, K.actors, K.ready, K.emit, K.current, K.task
local copy, park, new_actor, new_command, clear = K.copy, K.park, K.new_actor, K.new_command, K.clear

local OP_SLOT = -4
local granted = {} -- target -> grant: how many workers of a function this VM may hold, and the idle ones
K.granted = granted
local by_number = {} -- the same, by number, until the host has all its slots back
local last_id = 0 -- actors that the host does not number have numbers below zero
local open_op, reserve_op, permit_op, bind_op

-- The operations that the host answers for this file (module funcs).
function K.serve_calls(ops)
  open_op, reserve_op, permit_op, bind_op = ops["funcs.open"], ops["funcs.reserve"], ops["funcs.permit"], ops["funcs.bind"]
end

-- The nearest of its callers that the host knows.
local function known(a) return a.pid and a or a.root end

local function open(a, target)
  local status, number, unit, method, cpu_limit, mailbox, slots = host(open_op, known(a).id, target)
  if status ~= 0 or not number then return nil end
  local d = {
    number = number, unit = K.unit(unit), method = method, cpu_limit = cpu_limit, mailbox = mailbox, target = target,
    slots = slots, busy = 0, idle = {}, n = 0, revoked = false,
    fresh = slots > 1, -- without a bound: each call gets a worker of its own (inline)
  }
  granted[target], by_number[number] = d, d
  return d
end

-- Runs a worker's function with exactly the arguments it was given; the first two travel as what resumes the task.
local function runners(w)
  local f
  local function get()
    f = K.load_method(w, w.unit, w.method)
    return f
  end
  return {
    [0] = function() return (f or get())() end,
    [1] = function(x) return (f or get())(x) end,
    [2] = function(x, y) return (f or get())(x, y) end,
    [3] = function(args, n) return (f or get())(unpack(args, 1, n)) end,
  }
end

local function new_worker(d)
  last_id = last_id - 1
  local w = new_actor(last_id, false, d.cpu_limit, d.mailbox)
  w.worker, w.inside, w.unit, w.method = true, d, d.unit, d.method
  w.run = runners(w)
  return w
end

local function take(a, d)
  local n = d.n
  if n > 0 then
    local w = d.idle[n]
    d.idle[n], d.n = nil, n - 1
    last_id = last_id - 1
    w.id, w.queued = last_id, false -- where the host chooses who runs, it may stand in line under another number
    actors[last_id] = w
    return w
  end
  if d.busy >= d.slots then
    local status, more = host(reserve_op, known(a).id, d.number)
    if status ~= 0 or not more then return nil end
    d.slots = d.slots + 1
  end
  return new_worker(d)
end

-- Begins a call of the running actor; false when it has to take the road through the host.
function K.begin_inside(target, ...)
  local a = current()
  local d = granted[target]
  if not d or d.unit.dropped then
    if not open_op then return false end
    d = open(a, target)
    if not d then return false end
  end
  if a.guarded then
    local status, allowed = host(permit_op, known(a).id, target)
    if status ~= 0 or not allowed then return false end
  end
  if not isyieldable() then
    error("attempt to wait (funcs.call) inside a callback of sort, gsub or a metamethod", 3)
  end
  local n = select("#", ...)
  local x, y = ...
  if n <= 2 then
    x, y = copy(x), copy(y)
  else
    x, y = { ... }, n
    for i = 1, n do x[i] = copy(x[i]) end
    n = 3
  end
  if d.revoked then return K.begin_inside(target, ...) end -- copying much gives way to others
  local command = new_command(a, task())
  local w = take(a, d)
  if not w then
    a.waiting[command] = nil
    a.commands = a.commands - 1
    return false
  end
  d.busy = d.busy + 1
  w.caller, w.command, w.root, w.guarded = a, command, known(a), a.guarded
  local calls = a.calls
  if not calls then
    calls = {}
    a.calls = calls
  end
  calls[command] = w
  local co = cocreate(w.run[n])
  w.main = co
  w.tasks = 1
  w.alive[co] = true
  ready(w, co, x, y)
  return true
end

-- Waits for its end; the results of the call.
function K.await_inside()
  local status, v = park()
  if status == true then return v end
  if status == 1 then return nil, K.decode(v) end
  local n, t = K.decode_list(v) -- it was answered through the host
  return unpack(t, 1, n)
end

-- Makes a call known to the host, and first those that it was called from: they get their PIDs. Returns its PID.
function K.make_known(a)
  local chain, n = {}, 0
  local w = a
  while not w.pid do
    n = n + 1
    chain[n] = w
    w = w.caller
  end
  for i = n, 1, -1 do
    w = chain[i]
    local status, pid = host(bind_op, w.caller.id, w.id, w.command, w.inside.number)
    if status ~= 0 then error(K.decode(pid), 0) end
    w.pid = pid
    K.by_pid[pid] = w
  end
  return a.pid
end

-- A worker is free again, or gone.
local function release(w, reusable)
  local d = w.inside
  d.busy = d.busy - 1
  if d.revoked then
    d.slots = d.slots - 1
    if d.slots == 0 then by_number[d.number] = nil end
    emit(OP_SLOT, 0, d.number, "", 0)
  elseif reusable and not d.fresh and not d.unit.dropped then
    local n = d.n + 1
    d.idle[n], d.n = w, n
  end
end

local function answer(w, status, v)
  local a, command = w.caller, w.command
  local co = a.waiting[command]
  if co then
    a.waiting[command] = nil
    a.commands = a.commands - 1
    a.cpu = 0.0
    ready(a, co, status, v)
  end
end

-- It is over: killed, or ended by an error that no other call must see the remains of.
function K.leave_inside(w)
  local calls = w.caller.calls
  if calls then calls[w.command] = nil end
  release(w, false)
end

local function reuse(w)
  actors[w.id] = nil
  local calls = w.caller.calls
  if calls then calls[w.command] = nil end
  clear(w)
  w.pid, w.caller, w.root = false, nil, nil
  release(w, true)
end

-- The end of a call with an encoded outcome: an error, or what the host has to pass on.
function K.end_inside(w, ok, data)
  local bound = w.pid
  if bound then
    emit(-1, w.id, ok and 1 or 0, data, 0)
  else
    answer(w, 1, ssub(data, 2)) -- the error alone
  end
  if w.killed then
    K.bury(w)
    K.leave_inside(w)
    K.on_actor_end(w)
  else
    K.on_actor_end(w)
    reuse(w)
  end
end

-- The main task of a call that the host knows nothing of returned: `v` is the copied value, or an encoded error.
function K.return_inside(w, ok, v)
  if not ok then return K.end_inside(w, false, v) end
  answer(w, true, v)
  reuse(w)
end

-- The calls that an actor made end with it; those that the host knows are ended by the host.
function K.end_calls(a)
  local stack, n = { a.calls }, 1
  a.calls = nil
  while n > 0 do
    local calls = stack[n]
    stack[n] = nil
    n = n - 1
    for _, w in next, calls do
      if not w.pid then
        if w.calls then
          n = n + 1
          stack[n], w.calls = w.calls, nil
        end
        K.bury(w)
        release(w, false)
      end
    end
  end
end

-- From Python: a grant ends. Returns how many of its workers were free; each of the others comes back by OP_SLOT.
function K.revoke(number)
  local d = by_number[number]
  if not d or d.revoked then return 0 end
  d.revoked = true
  if granted[d.target] == d then granted[d.target] = nil end
  local free = d.slots - d.busy
  d.idle, d.n, d.slots = {}, 0, d.busy
  if d.busy == 0 then by_number[number] = nil end
  return free
end

-- From Python: the calls that run inside under a grant.
function K.calls_inside(number)
  local d = by_number[number]
  return d and d.busy or 0
end
