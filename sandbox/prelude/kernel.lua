-- The kernel: many actors in one VM, each with its own environment, tasks (coroutines) and waiting commands.
-- Loaded once per VM as chunk(K); K.host(op, actor_id, ...) is the one Python function that exists in this VM and never
-- reaches user code. Python drives: it queues work (start, resolve, deliver, feed, ...) and calls K.run, which runs
-- whatever is ready and returns a flat list of commands. Source: ours (docs/internals/kernel.md).
-- size: one chunk for the VM; scheduling, delivery and commands share the records of actors as upvalues, for speed.
local K = ...
local cocreate, coresume, coyield, costatus = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status
local corunning, isyieldable, coclose = coroutine.running, coroutine.isyieldable, coroutine.close
local type, select, error, setmetatable, tostring, next = type, select, error, setmetatable, tostring, next
local rawpcall, rawxpcall, unpack = pcall, xpcall, table.unpack
local host, collectgarbage = K.host, collectgarbage

-- What a task yields to the kernel; user code cannot get hold of them.
local PARK = setmetatable({}, { __tostring = function() return "park" end, __metatable = false })
local SLICE = setmetatable({}, { __tostring = function() return "slice" end, __metatable = false })
local KILL = setmetatable({}, { __tostring = function() return "killed" end, __metatable = false })
local POINT = setmetatable({}, { __tostring = function() return "point" end, __metatable = false })

local CHECKS = 2000 -- budget checks of user code between two looks at the clock, at most
local PACE_S = 0.002 -- where that takes longer, one looks more often
local SLICE_TICKS = 10000 -- ticks of work in libraries between two looks
local SLICE_S = 0.004 -- a task that ran this long lets the others run
local RUN_S = 0.010 -- a call of K.run returns to Python after this long
local TASK_SWITCHES = 256 -- in-actor task switches before other actors get their turn
local HOST_CALLS = 64 -- immediate host calls between two looks at the clock
local MAX_TASKS = 100000 -- tasks of one actor
local MAX_COMMANDS = 100000 -- operations one actor waits for

local actors = {} -- id -> actor
local queue, qh, qt = {}, 1, 0 -- run queue of ready actors
local A, cur -- running actor, running task
local out, nout, taken = {}, 0, 0 -- commands for Python, five values each: op, actor id, command id, bytes, extra
local OUT = 5000 -- values of `out` that K.run returns at once
local resumed_at, looked_at = false, 0.0 -- resumed_at is false until the first look: most steps end before it
local stamp = 0.0 -- when time was last given to the actors that spent it
local began = 0.0 -- the first look of the running step
local untimed, nuntimed = {}, 0 -- actors whose steps since `stamp` ended without a look
local UNTIMED = 16
K.actors = actors

local OP_EXIT, OP_CANCEL, OP_DRAIN = -1, -2, -3
K.OP_DRAIN = OP_DRAIN

local function emit(op, a, id, data, extra)
  local n = nout
  out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5] = op, a, id, data, extra
  nout = n + 5
end
K.emit = emit

local function wake(a)
  if not a.queued then
    a.queued = true
    qt = qt + 1
    queue[qt] = a
  end
end
K.wake = wake

-- Makes a task ready with up to two resume values.
local function ready(a, co, x, y)
  local t = a.rt + 1
  a.rt = t
  a.rq[t], a.rx[t], a.ry[t] = co, x, y
  if not a.queued then
    a.queued = true
    qt = qt + 1
    queue[qt] = a
  end
end
K.ready = ready

function K.current() return A end
function K.task() return cur end
-- Protected calls around the running code. In a coroutine Lua recovers an error with its C stack unwound, so that loops of
-- nested protected calls could stack up without end, and each error would walk all of that.
local nest = 0
local MAX_NEST = 180

function K.park()
  local n = nest
  local x, y = coyield(PARK)
  nest = n
  return x, y
end

-- budget -----------------------------------------------------------------------------------------------------------
local function kill(a, kind, message)
  a.killed = true
  a.kill_kind, a.kill_message = kind, message
  error(KILL, 0)
end

local function over_limit(a)
  return kill(a, "Internal", "CPU limit exceeded: the code ran " .. a.cpu_limit
    .. " s without waiting for anything (setting lua.cpu_limit)")
end

-- Called from user code every few checks: accounts CPU time, yields when the slice is used up, kills at the limit.
-- Returns after how many checks it wants to be called again.
-- Time is counted twice: for the actor since it last waited or took something from outside (a.cpu), and for a task since
-- it last parked (a.busy), so that neither tasks that keep each other awake nor a loop beside a ticking clock run for ever.
local function tick()
  local a = A
  if not a then return CHECKS end
  if a.killed or a.dead then error(KILL, 0) end
  local now = host(0)
  local pace = a.pace
  if not resumed_at then
    resumed_at, looked_at, began = now, now, now
    return pace
  end
  local spent = now - resumed_at
  if now - looked_at > PACE_S then
    pace = pace > 64 and pace // 4 or 16
    a.pace = pace
  elseif pace < CHECKS then
    pace = pace * 2
    a.pace = pace
  end
  looked_at = now
  if spent >= SLICE_S then
    a.cpu = a.cpu + spent
    resumed_at = now
    local busy = a.busy
    if not busy then
      busy = {}
      a.busy = busy
    end
    local task_s = (busy[cur] or 0.0) + spent
    busy[cur] = task_s
    if a.cpu > a.cpu_limit or task_s > a.cpu_limit then over_limit(a) end
    if isyieldable() then
      local n = nest
      coyield(SLICE)
      nest = n
      if a.killed then error(KILL, 0) end
    end
  elseif a.cpu + spent > a.cpu_limit then
    over_limit(a)
  end
  return pace
end
K.tick = tick
K.slice_ticks = CHECKS

-- The actor got something done that is bounded elsewhere (a process of its host's): its time counts anew.
function K.progress()
  local a = A
  a.cpu = 0.0
  if a.busy then a.busy[cur] = nil end -- its slice goes on, or it would never give way
end

-- Work done in C or in the host on behalf of the running actor: `cost` in ticks.
function K.tick_check(cost)
  local a = A
  if not a then return end
  local n = a.debt + cost
  if n >= SLICE_TICKS then
    tick()
    a.debt = 0 -- only now: a look that fails at the end of the stack is taken again further down
  else
    a.debt = n
  end
end

-- protected calls: a kill passes through every one of them -----------------------------------------------------------
local function memory_kill()
  A.killed = true
  A.kill_kind, A.kill_message = "Internal", "memory limit of the host's VM exceeded (not enough memory)"
  error(KILL, 0)
end

local ERROR_TICKS = 1250 -- one caught error: at the end of a deep stack it takes milliseconds, not a tick
local function protect(n, ok, e, ...)
  nest = n
  if not ok then
    if e == KILL then error(KILL, 0) end
    if e == "not enough memory" then memory_kill() end
    K.tick_check(ERROR_TICKS)
  end
  return ok, e, ...
end

local function deeper()
  local n = nest
  if n >= MAX_NEST then error("stack overflow (protected calls nested deeper than " .. MAX_NEST .. ")", 3) end
  nest = n + 1
  return n
end
local function user_pcall(f, ...) return protect(deeper(), rawpcall(f, ...)) end
local function user_xpcall(f, handler, ...)
  if type(handler) ~= "function" then error("bad argument #2 to 'xpcall' (function expected)", 2) end
  return protect(deeper(), rawxpcall(f, function(e)
    if e == KILL or e == "not enough memory" then return e end
    return handler(e)
  end, ...))
end
K.pcall = user_pcall

-- coroutines: what the kernel's yields mean passes through user coroutines unseen -----------------------------------
local held = setmetatable({}, { __mode = "k" }) -- user coroutines in which a task waits: nobody else may resume them
local function after(co, ok, first, ...)
  if ok then
    if first == PARK or first == SLICE or first == POINT then
      held[co] = true
      local n = nest
      local x, y = coyield(first)
      nest = n
      held[co] = nil
      return after(co, coresume(co, x, y))
    end
  elseif first == KILL then
    error(KILL, 0)
  elseif first == "not enough memory" then
    memory_kill()
  else
    K.tick_check(ERROR_TICKS)
  end
  return ok, first, ...
end
local function user_resume(co, ...)
  if held[co] then return false, "cannot resume non-suspended coroutine" end
  return after(co, coresume(co, ...))
end

local function spawn_task(a, co, x, y)
  if a.tasks >= MAX_TASKS then error("too many coroutines in this process (limit " .. MAX_TASKS .. ")", 3) end
  a.tasks = a.tasks + 1
  a.alive[co] = true
  ready(a, co, x, y)
end

local function user_spawn(f, ...)
  if type(f) ~= "function" then error("bad argument #1 to 'spawn' (function expected)", 2) end
  local co
  if select("#", ...) == 0 then
    co = cocreate(f)
  else
    local n, args = select("#", ...), { ... }
    co = cocreate(function() return f(unpack(args, 1, n)) end)
  end
  spawn_task(A, co)
  return co
end

local function wrap_result(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

K.coroutine_lib = {
  create = function(f)
    if type(f) ~= "function" then error("bad argument #1 to 'create' (function expected)", 2) end
    K.tick_check(20)
    return cocreate(f)
  end,
  resume = function(co, ...)
    if type(co) ~= "thread" then error("bad argument #1 to 'resume' (coroutine expected)", 2) end
    if A.alive[co] then return false, "cannot resume a task of the scheduler" end
    return user_resume(co, ...)
  end,
  yield = function(...) return coyield(...) end,
  status = function(co)
    if held[co] then return "normal" end
    return costatus(co)
  end,
  running = function()
    local co = corunning()
    if co == A.main then return nil end
    return co
  end,
  isyieldable = isyieldable,
  wrap = function(f)
    if type(f) ~= "function" then error("bad argument #1 to 'wrap' (function expected)", 2) end
    K.tick_check(20)
    local co = cocreate(f)
    return function(...) return wrap_result(user_resume(co, ...)) end
  end,
  spawn = user_spawn,
}
K.pcall_lib = {
  pcall = user_pcall,
  xpcall = user_xpcall,
  error = error,
}

-- operations: what a module's Lua half asks of its Python half --------------------------------------------------------
-- Results come back as (status, bytes): 0 = values, 1 = nil and an error, 2 = an error to be raised.
local wait_instead
local function results(status, data, op)
  if status == 0 then
    local n, t = K.decode_list(data)
    if #data > 256 then K.tick_check(#data >> 4) end
    if n == 1 then return t[1] end
    return unpack(t, 1, n)
  end
  if status == 3 then return wait_instead(op, data) end
  local e = K.decode(data)
  if status == 1 then return nil, e end
  if type(e) == "string" then return error(e, 3) end
  return error(e, 3)
end

local function charge_host_call()
  local a = A
  local n = a.host_calls + 1
  if n >= HOST_CALLS then
    a.host_calls = 0
    tick()
  else
    a.host_calls = n
  end
end

-- In a simulated world every operation on what actors share is a point where any other may go first, also where it is
-- done at once in a live node. Whoever waits there goes on before the other tasks of its actor: those cannot come between.
local shared -- names of such operations among the immediate ones; nil in a live node
local function point()
  if not isyieldable() then return end
  local n = nest
  coyield(POINT)
  nest = n
  if A.killed then error(KILL, 0) end
end

local OP_SENT, OP_LINE, OP_HAZARD = -1, -2, -3
-- Makes this VM part of a simulated world, before any module is loaded. `detail`: the host is told what messages hold.
function K.simulate(names, detail)
  shared = {}
  for name in string.gmatch(names, "%S+") do shared[name] = true end
  local send_local = K.send_local
  K.send_local = function(to, topic, ...)
    point()
    local state = send_local(to, topic, ...)
    if state == 0 then
      if detail then
        host(OP_SENT, A.id, to, topic, K.encode(...), K.where(2))
      else
        host(OP_SENT, A.id, to, topic)
      end
    end
    return state
  end
  K.send_one = K.send_local
end

-- Tells the host the line that an operation comes from; before any module is loaded.
local lines = false
function K.tell_lines()
  lines = true
  K.apart = true -- what an actor is charged for does not depend on what others have done before
  K.watch_keys()
end

local ops = K.ops -- name -> index, filled by Python

local function op_index(name)
  local index = ops[name]
  if not index then error("kernel: no operation named " .. name, 2) end
  return index
end

local sys = {}
K.sys = sys

-- A function that answers at once: its arguments are encoded, its results decoded.
function sys.immediate(name)
  local op = op_index(name)
  if shared and shared[name] then
    return function(...)
      point()
      charge_host_call()
      if not A.pid then K.make_known(A) end
      return results(host(op, A.id, K.encode(...), lines and K.where(2) or nil))
    end
  end
  if lines then
    return function(...)
      charge_host_call()
      return results(host(op, A.id, K.encode(...), K.where(2)))
    end
  end
  return function(...)
    charge_host_call()
    if not A.pid then K.make_known(A) end
    return results(host(op, A.id, K.encode(...)))
  end
end

-- The same for operations on plain strings, numbers and booleans, which pass as they are.
function sys.raw(name)
  local op = op_index(name)
  return function(...)
    charge_host_call()
    if not A.pid then K.make_known(A) end
    if lines and shared then host(OP_LINE, A.id, K.where(2)) end
    local status, a, b, c = host(op, A.id, ...)
    if status == 0 then return a, b, c end
    return results(status, a)
  end
end

-- Keys whose order in a table depends on where in memory they lie, and so on the run: told in a simulated world, and of
-- workflows.
function K.check_keys(t)
  if not (lines and A) then return end
  for k in next, t do
    local kind = type(k)
    if kind == "table" or kind == "function" or kind == "thread" or kind == "userdata" then
      host(OP_HAZARD, A.id, "iteration over keys that are " .. kind .. "s", K.where(2))
      return
    end
  end
end

function K.new_command(a, waiter)
  if a.commands >= MAX_COMMANDS then
    error("too many operations are waited for in this process (limit " .. MAX_COMMANDS .. ")", 3)
  end
  a.commands = a.commands + 1
  local id = a.next_command + 1
  a.next_command = id
  a.waiting[id] = waiter
  return id
end

local function issue(op, data, waiter)
  local a = A
  if not a.pid then K.make_known(a) end
  local id = K.new_command(a, waiter)
  emit(op, a.id, id, data, (a.trace or lines) and K.where(2) or 0)
  return id
end

-- The host answered "later" to an operation that answers at once: it is waited for like any other.
function wait_instead(op, data)
  if not isyieldable() then error("attempt to wait inside a callback of sort, gsub or a metamethod", 2) end
  issue(op, data, cur)
  return results(K.park())
end

-- A function that may wait: the task parks until the host has answered.
function sys.waiting(name)
  local op = op_index(name)
  return function(...)
    if not isyieldable() then
      error("attempt to wait (" .. name .. ") inside a callback of sort, gsub or a metamethod", 2)
    end
    issue(op, K.encode(...), cur)
    return results(K.park())
  end
end

-- A function that starts the operation and returns at once: (channel, command id). The channel yields ONE value, the
-- first result or an Error object, and is then closed. `sys.cancel(id)` cancels it.
function sys.async(name)
  local op = op_index(name)
  return function(...)
    local ch = K.new_state(1)
    local id = issue(op, K.encode(...), ch)
    return ch.object, id
  end
end
function sys.cancel(id)
  if A.waiting[id] == nil then return false end
  emit(OP_CANCEL, A.id, id, "", 0)
  return true
end

-- A channel that the host feeds: (channel, source id) to be given to an operation. Capacity in values.
function sys.source(capacity)
  local a = A
  local ch = K.new_state(capacity or 1)
  local id = a.next_source + 1
  a.next_source = id
  a.sources[id] = ch
  ch.source, ch.owner = id, a
  return ch.object, id
end
function sys.drop_source(id)
  local ch = A.sources[id]
  if ch then
    A.sources[id] = nil
    K.close_in(A, ch)
  end
end
function K.drained(ch) -- a receive made room in a source whose feeder waits
  ch.starved = false
  emit(OP_DRAIN, ch.owner.id, ch.source, "", 0)
end

-- State of the running actor for a module, by key; gone with the actor.
function sys.state(key)
  local s = A.state[key]
  if s == nil then
    s = {}
    A.state[key] = s
  end
  return s
end
sys.class, sys.instance, sys.is = K.class, K.instance, function(v, name) return K.is_object(v) == name end
sys.new_object = K.new_object
sys.error, sys.is_error, sys.to_error = K.new_error, K.is_error, K.to_error
sys.current = K.current
sys.encode, sys.encode_message, sys.decode, sys.copy = K.encode, K.encode_message, K.decode, K.copy
sys.payload = function(...) return K.new_payload(...) end
sys.tick_check = K.tick_check
sys.array_length = K.array_length
sys.errors = K.errors_lib
-- A task of the running actor on behalf of a module, not counted as user code.
function sys.spawn(f, ...) return user_spawn(f, ...) end
-- "bad argument" errors as the reference words them.
function sys.argument_error(index, name, problem)
  return error("bad argument #" .. index .. " to " .. name .. " (" .. problem .. ")", 3)
end
function sys.check(v, want, index, name)
  local t = type(v)
  if t ~= want then
    local got = K.is_object(v) or (v == nil and "nil" or t)
    error("bad argument #" .. index .. " to " .. name .. " (" .. want .. " expected, got " .. got .. ")", 3)
  end
  return v
end

-- running --------------------------------------------------------------------------------------------------------------
-- Drops all that an actor was about to do.
local function bury(a)
  a.dead = true
  actors[a.id] = nil
  a.waiting, a.sources, a.rq, a.rx, a.ry, a.alive = {}, {}, {}, {}, {}, {}
  if a.calls then K.end_calls(a) end
end
K.bury = bury

local function finish(a, ok, data)
  bury(a)
  if a.inside then K.leave_inside(a) end
  emit(OP_EXIT, a.id, ok and 1 or 0, data, 0)
  if K.on_actor_end then K.on_actor_end(a) end
end

-- What a call or process ends with is made by user code: a value that refers to itself, an error object whose
-- __tostring fails. Encoding it runs protected, and bounded by the budget like everything else.
local function guarded(a, f, ...)
  local ok, data = rawpcall(f, ...)
  if ok then return true, data end
  if data == KILL then
    return false, K.encode_message(K.new_error(a.kill_kind, a.kill_message))
  end
  if type(data) ~= "string" then data = "error object of the program could not be read" end
  return false, K.encode_message(K.new_error("Internal", data))
end

local function is_failure(err) return type(err) == "string" or K.is_error(err) end

-- The outcome of a call: an error as second value (or its text) means that the call failed.
local function outcome(a, v, err)
  if err ~= nil and is_failure(err) then
    local _, data = guarded(a, function() return K.encode_message(K.to_error(err, K.traceback())) end)
    return false, data
  end
  return guarded(a, K.encode_message, v)
end

local function fail(a, co, e)
  local _, data = guarded(a, function()
    if e == KILL then
      return K.encode_message(K.to_error(a.kill_message or "process killed", K.traceback(co), a.kill_kind))
    elseif e == "not enough memory" then
      return K.encode_message(K.to_error("memory limit of the host's VM exceeded (not enough memory)", ""))
    end
    return K.encode_message(K.to_error(e, K.traceback(co)))
  end)
  return data
end

-- What belongs to one call of a worker, and nothing of which may reach the next.
local function clear(a)
  a.rq, a.rx, a.ry, a.rh, a.rt = {}, {}, {}, 1, 0
  a.waiting, a.commands, a.sources, a.tasks, a.alive, a.main = {}, 0, {}, 0, {}, nil
  a.topics, a.inbox, a.pending, a.depth, a.state = {}, nil, nil, 0, {}
  a.trap_links, a.upgradable, a.cpu, a.spent, a.busy = nil, nil, 0.0, 0.0, nil
  if a.calls then K.end_calls(a) end
end
K.clear = clear

-- The end of the actor's main task: a function worker waits for its next call, everything else is over.
local function main_done(a, ok, data)
  if a.dead then return end -- killed from outside while it ran
  if a.inside then
    K.end_inside(a, ok, data)
  elseif a.worker and not a.killed then
    clear(a)
    K.on_actor_end(a)
    emit(OP_EXIT, a.id, ok and 1 or 0, data, 1)
  else
    finish(a, ok, data)
  end
end

local function step(a, co, ok, y, err)
  if not ok then
    a.alive[co] = nil
    a.tasks = a.tasks - 1
    if not a.dead then main_done(a, false, fail(a, co, y)) end -- an uncaught error in any task ends the process
  elseif costatus(co) == "dead" then
    a.alive[co] = nil
    a.tasks = a.tasks - 1
    if co == a.main then
      if a.pid == false and (err == nil or not is_failure(err)) then
        K.return_inside(a, guarded(a, K.copy, y))
      else
        main_done(a, outcome(a, y, err))
      end
    end
  elseif y == SLICE then
    ready(a, co)
  elseif y == POINT then
    local h = a.rh - 1
    a.rh, a.rq[h] = h, co
    wake(a)
  else
    ready(a, co) -- coroutine.yield() outside a user coroutine: let the others run
  end
end

-- The running step is timed from here on.
local function look()
  local now = host(0)
  resumed_at, looked_at, began = now, now, now
end

-- The time since the last stamp is that of all who ran meanwhile, in equal parts.
local function settle(now)
  if nuntimed > 0 then
    local share = (now - stamp) / nuntimed
    for i = 1, nuntimed do
      local a = untimed[i]
      a.spent = a.spent + share
    end
    nuntimed = 0
  end
  stamp = now
end

local function run_actor(a)
  A = a
  a.steps = a.steps + 1
  resumed_at = false
  if a.busy or a.cpu > 0.0 then look() end
  local switches, sliced, pointed = 0, false, false
  while a.rh <= a.rt and not a.dead do
    local h = a.rh
    local co, x, y = a.rq[h], a.rx[h], a.ry[h]
    a.rq[h], a.rx[h], a.ry[h] = nil, nil, nil
    if h == a.rt then a.rh, a.rt = 1, 0 else a.rh = h + 1 end
    if a.alive[co] then
      cur = co
      if switches > 0 and not resumed_at then -- tasks that keep each other awake are timed
        look()
      end
      if a.busy and a.busy[co] then -- what ran before it is not its time
        local now = host(0)
        a.cpu = a.cpu + (now - resumed_at)
        resumed_at = now
      end
      nest = 0
      local ok, y2, err = coresume(co, x, y)
      if y2 == PARK and ok then -- nearly always
        if a.busy then a.busy[co] = nil end
      else
        pointed = ok and y2 == POINT
        sliced = pointed or (ok and y2 == SLICE)
        if not sliced and a.busy then a.busy[co] = nil end
        step(a, co, ok, y2, err)
        if sliced then break end
      end
    end
    switches = switches + 1
    if switches >= TASK_SWITCHES then break end
  end
  nuntimed = nuntimed + 1
  untimed[nuntimed] = a
  if resumed_at then
    settle(began)
    stamp = host(0)
    a.spent = a.spent + (stamp - began)
  elseif nuntimed >= UNTIMED then
    settle(host(0))
  end
  if not a.dead then
    if a.rh <= a.rt then
      if resumed_at and not pointed then a.cpu = a.cpu + (stamp - resumed_at) end
      wake(a)
    else
      a.cpu, a.busy = 0.0, nil
    end
  end
  A, cur = nil, nil
end

-- Whether more actors are ready, then the commands.
local function hand_over()
  local first, last = taken + 1, nout
  if last == 0 then return qh <= qt end
  if last - taken > OUT then
    last = taken + OUT
    taken = last
    return true, unpack(out, first, last)
  end
  local batch = out
  nout, taken = 0, 0
  if last > OUT then out = {} end -- the flood is over: its room goes back
  return qh <= qt, unpack(batch, first, last)
end

-- Where much is held for a while (messages in mailboxes), collecting at Lua's own pace, when the heap is 2.5 times what
-- was left of it, is nearly half of the work. A small heap may grow to four times that; a big one must not.
local SMALL_PAUSE, BIG_PAUSE, BIG_KIB = 400, 200, 96 * 1024
local big = false
collectgarbage("param", "pause", SMALL_PAUSE)
local function set_pause()
  big = not big
  collectgarbage("param", "pause", big and BIG_PAUSE or SMALL_PAUSE)
end

-- Runs ready actors; returns whether more are ready, then the commands, five values each.
function K.run()
  stamp = host(0)
  local until_s = stamp + RUN_S
  if (collectgarbage("count") > BIG_KIB) ~= big then set_pause() end
  while qh <= qt and taken == 0 do
    local a = queue[qh]
    queue[qh] = nil
    if qh == qt then qh, qt = 1, 0 else qh = qh + 1 end
    a.queued = false
    if not a.dead then run_actor(a) end
    if nout >= 1000 or stamp > until_s then break end
  end
  if nuntimed > 0 then settle(host(0)) end
  return hand_over()
end

-- In a simulated world Python decides which actor goes next: it takes the numbers of those that became ready...
function K.take_ready()
  local ids, n = {}, 0
  for i = qh, qt do
    n = n + 1
    ids[n] = queue[i].id
    queue[i] = nil
  end
  qh, qt = 1, 0
  return unpack(ids, 1, n)
end

-- ...and runs one of them until it parks, or comes to a point; the result is that of K.run.
function K.run_one(id)
  local a = actors[id]
  if a then
    a.queued = false
    stamp = host(0)
    run_actor(a)
    if nuntimed > 0 then settle(host(0)) end
  end
  return hand_over()
end

-- what Python calls ----------------------------------------------------------------------------------------------------
local function new_actor(id, pid, cpu_limit, mailbox)
  local a = {
    id = id, pid = pid, cpu_limit = cpu_limit, mailbox = mailbox,
    rq = {}, rx = {}, ry = {}, rh = 1, rt = 0, queued = false,
    waiting = {}, sources = {}, alive = {}, state = {}, libs = {}, topics = {},
    next_command = 0, next_source = 0, tasks = 0, cpu = 0.0, debt = 0, host_calls = 0,
    depth = 0, -- messages held: queued in topics and pending
    commands = 0, -- operations waited for
    pace = CHECKS,
    steps = 0, spent = 0.0, -- times it was run, and seconds in all, for whoever looks
  }
  actors[id] = a
  if pid and pid ~= "" then K.by_pid[pid] = a end
  return a
end
K.new_actor = new_actor

local function main_task(a, f)
  local co = cocreate(f)
  a.main = co
  spawn_task(a, co)
end

K.run_main = main_task

-- Starts an actor: loads its unit and runs `method` with the decoded arguments. A guarded actor's messages go through
-- the host, which checks its permissions. With `trace` its commands tell the line that they come from.
function K.start(id, pid, unit, method, args, cpu_limit, mailbox, guarded, trace)
  local u = K.unit(unit) -- now: it may be replaced before the first step
  local a = new_actor(id, pid, cpu_limit, mailbox)
  a.guarded, a.trace = guarded, trace
  main_task(a, function()
    local f = K.load_method(a, u, method)
    local n, t = K.decode_list(args)
    return f(unpack(t, 1, n))
  end)
end

-- Opens a function worker: loads its unit; calls come by K.call, one at a time.
function K.open(id, pid, unit, method, cpu_limit, mailbox)
  local a = new_actor(id, pid, cpu_limit, mailbox)
  a.worker, a.unit, a.method = true, K.unit(unit), method
end
function K.call(id, pid, args, guarded)
  local a = actors[id]
  if not a then return false end
  clear(a)
  a.pid, a.guarded = pid, guarded -- each call is a process of its own: fresh PID and mailbox
  K.by_pid[pid] = a
  main_task(a, function()
    local f = a.fn
    if not f then
      f = K.load_method(a, a.unit, a.method)
      a.fn = f
    end
    local n, t = K.decode_list(args)
    return f(unpack(t, 1, n))
  end)
  return true
end
-- Ends the running call of a worker, whose tasks are dropped; the worker itself is not reused.
function K.kill(id)
  local a = actors[id]
  if not a then return false end
  bury(a)
  if a.inside then K.leave_inside(a) end
  if K.on_actor_end then K.on_actor_end(a) end
  return true
end
-- Ends an actor from inside the kernel with an error, as if its main task had failed.
function K.fail(id, data)
  local a = actors[id]
  if not a then return false end
  finish(a, false, data)
  return true
end

function K.resolve(id, command, status, data)
  local a = actors[id]
  if not a then return end
  local w = a.waiting[command]
  if w == nil then return end
  a.waiting[command] = nil
  a.commands = a.commands - 1
  a.cpu = 0.0
  if type(w) == "thread" then
    ready(a, w, status, data)
  else -- a channel of sys.async
    local v
    if status == 0 then
      local _, t = K.decode_list(data)
      v = t[1]
      if v == nil and K.is_error(t[2]) then v = t[2] end
    else
      v = K.decode(data)
      if type(v) == "string" then v = K.to_error(v, "") end
    end
    K.push_channel(a, w, v, false)
    K.close_in(a, w)
  end
end

function K.feed(id, source, data)
  local a = actors[id]
  local ch = a and a.sources[source]
  if not ch or ch.closed then return 1 end
  if K.channel_full(ch) then
    ch.starved = true
    return 2
  end
  K.push_channel(a, ch, K.decode(data), a == A)
  return 0
end
function K.close_feed(id, source)
  local a = actors[id]
  local ch = a and a.sources[source]
  if ch then
    a.sources[source] = nil
    K.close_in(a, ch)
  end
end
