-- Looking at actors from outside: how many messages they hold and where each of their tasks waits, with the Lua line.
-- Nothing here runs, wakes or charges an actor, and nothing is recorded for it while they run. Called once per VM as
-- chunk(K), after units.lua.
local K = ...
local type, next, sfind, sort = type, next, string.find, table.sort
local getinfo, getupvalue, getlocal, costatus = debug.getinfo, debug.getupvalue, debug.getlocal, coroutine.status
local actors = K.actors

local MAX_TASKS = 100 -- tasks described of one actor
local MAX_LEVELS = 60 -- frames looked through
local MAX_NESTED = 10 -- coroutines of the program inside one another
local LABELS = { ["@pid/inbox"] = "inbox", ["@pid/events"] = "events" }

-- The operation that a frame of the kernel performs: `sys.waiting` keeps its name in an upvalue.
local function operation(f)
  for i = 1, 12 do
    local name, value = getupvalue(f, i)
    if not name then return nil end
    if name == "name" and type(value) == "string" then return value end
  end
end

-- The coroutine of the program that a frame of the kernel has resumed, whose wait is the task's.
local function resumed(co, level)
  for i = 1, 6 do
    local name, value = getlocal(co, level, i)
    if not name then return nil end
    if name == "co" and type(value) == "thread" then return costatus(value) == "suspended" and value or nil end
  end
end

-- What a parked task does, and the line of the program that does it.
local function place(co, depth)
  local does
  for level = 0, MAX_LEVELS do
    local info = getinfo(co, level, "Slnf")
    if not info then break end
    local src = info.short_src
    if info.currentline > 0 then
      if sfind(src, "^kernel/kernel") then
        local inner = depth < MAX_NESTED and resumed(co, level)
        if inner then return place(inner, depth + 1) end
        does = does or operation(info.func)
      elseif sfind(src, "^kernel/calls") then
        does = does or "funcs.call"
      elseif sfind(src, "^kernel/") then
        if info.name then does = does or info.name end
      elseif not sfind(src, "^module ") then
        return does, src .. ":" .. info.currentline
      end
    end
  end
  return does, ""
end

-- Which task waits for which of the channels that the actor is known by.
local function note(labels, ch, label)
  for i = ch.rh, ch.rt do
    local w = ch.rcv[i]
    if w and not (w[3] and w[3].done) then
      local t = labels[w[1]]
      labels[w[1]] = t and (t .. ", " .. label) or label
    end
  end
end

local function labels_of(a)
  local labels = {}
  local topics = {}
  for topic in next, a.topics do topics[#topics + 1] = topic end
  sort(topics)
  for i = 1, #topics do note(labels, a.topics[topics[i]].channel, LABELS[topics[i]] or "'" .. topics[i] .. "'") end
  for _, ch in next, a.sources do note(labels, ch, "a source") end
  for _, w in next, a.waiting do
    if type(w) == "table" then note(labels, w, "an operation") end
  end
  return labels
end

local function ready_set(a)
  local set = {}
  for i = a.rh, a.rt do
    if a.rq[i] then set[a.rq[i]] = true end
  end
  return set
end

local function describe(a, co, ready, labels)
  if K.task() == co then return "running", "", "" end
  local does, line = place(co, 0)
  if ready[co] then return "ready", "", line end
  does = does or "receive" -- the one wait that leaves no frame
  if does == "receive" or does == "select" or does == "send" then
    does = "channel." .. does
  elseif does == "wait_room" then
    does = "room in a mailbox"
  end
  if labels and labels[co] then does = does .. " (" .. labels[co] .. ")" end
  return "waiting", does, line
end

-- Everything about one actor, encoded; nil when it is not here. With `trace` each task has its traceback.
function K.inspect(id, trace)
  local a = actors[id]
  if not a then return nil end
  local ready, labels = ready_set(a), labels_of(a)
  local order, commands, topics = {}, 0, {}
  for co in next, a.alive do
    if co ~= a.main then order[#order + 1] = co end
  end
  if a.main and a.alive[a.main] then
    order[#order + 1] = order[1]
    order[1] = a.main
  end
  for _ in next, a.waiting do commands = commands + 1 end
  for topic in next, a.topics do topics[#topics + 1] = LABELS[topic] or topic end
  sort(topics)
  local tasks = {}
  for i = 1, #order < MAX_TASKS and #order or MAX_TASKS do
    local co = order[i]
    local state, does, line = describe(a, co, ready, labels)
    tasks[i] = {
      main = co == a.main, state = state, waits = does, line = line, trace = trace and K.traceback(co) or nil,
    }
  end
  return K.encode_message({
    depth = a.depth, pending = a.pending and #a.pending or 0, mailbox = a.mailbox, commands = commands,
    steps = a.steps or 0, task_count = a.tasks, tasks = tasks, topics = topics, trap_links = a.trap_links or false,
    upgradable = a.upgradable or false, cpu_s = a.spent,
  })
end

-- A line about each of many actors: ids as an encoded list; returns one flat encoded list of nine values each (id,
-- messages held, steps, state, what its main task waits on, line, seconds it ran, tasks, topics it listens to).
function K.survey(ids)
  local _, list = K.decode_list(ids)
  local out, n = {}, 0
  for i = 1, #list do
    local a = actors[list[i]]
    if a then
      local state, does, line = "idle", "", ""
      local main = a.main
      if main and a.alive[main] and costatus(main) ~= "dead" then
        local queued
        for at = a.rh, a.rt do
          if a.rq[at] == main then queued = { [main] = true } end
        end
        state, does, line = describe(a, main, queued or {}, labels_of(a))
      end
      out[n + 1], out[n + 2], out[n + 3] = a.id, a.depth, a.steps or 0
      out[n + 4], out[n + 5], out[n + 6] = state, does, line
      local topics = 0
      for _ in next, a.topics do topics = topics + 1 end
      out[n + 7], out[n + 8], out[n + 9] = a.spent or 0.0, a.tasks, topics
      n = n + 9
    end
  end
  return K.encode_message(out)
end
