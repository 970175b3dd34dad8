-- An actor that does what a list of operations says, and notes (`print`) each of them where it happens, for the model
-- (model.py). Between a note and the operation beside it nothing else may run: they are one step.
local store = require("store")
local time = require("time")

local KNOWN_COUNT = 12

local function note(...) print("@" .. table.concat({ ... }, " ")) end

local function problem(err)
  if err == nil then return "nil" end
  if type(err) == "string" then return "Text " .. err end
  return err:kind() .. " " .. err:message()
end

local function main(state)
  local me = process.pid()
  local roles, role = state.roles, state.roles[state.role]
  local known, seq, count = state.known, state.seq or 0, state.count or 0
  local events, channels = process.events(), {}
  local canceled, trap, held = false, state.trap or false, {}
  channels.events = events
  if #known == 0 then known[1] = me end
  if trap then process.set_options({ trap_links = true }) end
  note("begin", state.role, state.generation or 0, trap and 1 or 0)

  local function dest(at)
    if at >= 100 then return "n" .. (at - 100) end
    return known[1 + at % #known]
  end

  local function learn(pid)
    if type(pid) ~= "string" or #known >= KNOWN_COUNT then return end
    for _, one in ipairs(known) do
      if one == pid then return end
    end
    known[#known + 1] = pid
  end

  local function number()
    count = count + 1
    return count
  end

  local function channel_of(via)
    if via == "inbox" and not channels.inbox then
      channels.inbox = process.inbox()
      note("inbox")
    end
    return channels[via]
  end

  local function took(via, value)
    if via == "events" then
      if value.kind == process.event.CANCEL then
        canceled = true
        note("wait<", via, "CANCEL", value.from or "", value.reason or "")
      elseif value.result.error ~= nil then
        note("wait<", via, value.kind, value.from, "error", problem(value.result.error))
      else
        note("wait<", via, value.kind, value.from, "value", tostring(value.result.value))
      end
    elseif via == "inbox" then
      local data = value:payload():data()
      note("wait<", via, data.id, value:topic(), value:from() or "")
      learn(data.know)
    else
      note("wait<", via, value.id, via, "")
      learn(value.know)
    end
  end

  local ops = {}

  -- Milliseconds (0: only what is there; -1: for ever), then names of channels, in the order of the cases.
  function ops.wait(ms, ...)
    local cases, vias, names, timer = {}, {}, {}, nil
    for _, via in ipairs({ ... }) do
      local ch = channel_of(via)
      if ch and not vias[ch] then
        cases[#cases + 1] = ch:case_receive()
        vias[ch], names[#names + 1] = via, via
      end
    end
    if ms > 0 then
      timer = time.after(ms .. "ms")
      cases[#cases + 1] = timer:case_receive()
    elseif ms == 0 then
      cases.default = true
    elseif #names == 0 then
      return false
    end
    note("wait>", ms, table.concat(names, " "))
    local got = channel.select(cases)
    if got.default then
      note("wait<", "default")
      return false
    elseif got.channel == timer then
      note("wait<", "timer")
      return false
    end
    took(vias[got.channel], got.value)
    return true
  end

  function ops.send(at, topic)
    local to = dest(at)
    seq = seq + 1
    local mine = seq
    note("send>", mine, to, topic)
    local ok, err = process.send(to, topic, { id = me .. "#" .. mine, know = known[1 + mine % #known] })
    if ok then note("send<", mine, "ok") else note("send<", mine, problem(err)) end
  end

  function ops.listen(topic)
    if channels[topic] then
      local ch = channels[topic]
      channels[topic] = nil
      note("unlisten", topic)
      process.unlisten(ch)
      while true do
        local value, ok = ch:receive()
        if not ok then break end
        note("left", topic, value.id)
      end
      note("unlistened", topic)
    else
      channels[topic] = process.listen(topic)
      note("listen", topic)
    end
  end

  function ops.trap(on)
    trap = on == 1
    process.set_options({ trap_links = trap })
    note("trap", on)
  end

  for _, verb in ipairs({ "monitor", "unmonitor", "link", "unlink", "terminate", "cancel" }) do
    ops[verb] = function(at)
      local to = dest(at)
      local n = number()
      note(verb .. ">", n, to)
      local ok, err = process[verb](to)
      if ok then note(verb .. "<", n, to, "ok") else note(verb .. "<", n, to, problem(err)) end
    end
  end

  -- Name, whom (-1: itself).
  function ops.register(name, at)
    local pid = at >= 0 and known[1 + at % #known] or me
    local ok, err = process.registry.register("n" .. name, pid)
    if ok then note("register", "n" .. name, pid, "ok") else note("register", "n" .. name, pid, problem(err)) end
  end
  function ops.lookup(name)
    local pid, err = process.registry.lookup("n" .. name)
    if pid then
      note("lookup", "n" .. name, "ok", pid)
      learn(pid)
    else
      note("lookup", "n" .. name, problem(err))
    end
  end
  function ops.unregister(name)
    local was = process.registry.unregister("n" .. name)
    note("unregister", "n" .. name, was and 1 or 0)
  end

  local function child(to)
    return { roles = roles, role = to, known = { table.unpack(known) } }
  end

  -- Variant, role, host, name (0: none), topic of a first message ("": none).
  function ops.spawn(how, to, host, name, topic)
    local from = process
    if name > 0 then from = from.with_name("n" .. name) end
    seq = seq + 1
    local mine = me .. "#" .. seq
    if topic ~= "" then
      local first = { id = mine, know = me }
      from = from == process and from.with_message(topic, first) or from:with_message(topic, first)
    end
    local n = number()
    note("spawn>", n, mine, topic)
    local pid, err
    if from == process then
      pid, err = process[how]("app:actor", host, child(to))
    else
      pid, err = from[how](from, "app:actor", host, child(to))
    end
    if pid then
      note("spawn<", n, how, pid, name > 0 and "n" .. name or "-", topic ~= "" and mine or "-", topic)
      learn(pid)
    else
      note("spawn!", n, problem(err))
    end
  end

  function ops.exec(to, host)
    local n, state_of_it = number(), child(to)
    state_of_it.exec = true
    note("exec>", n)
    local value, err = process.exec("app:actor", host, state_of_it)
    if err == nil then note("exec<", n, "value", tostring(value)) else note("exec<", n, "error", problem(err)) end
  end

  function ops.sleep(ms)
    local n = number()
    note("sleep>", n, ms)
    time.sleep(ms .. "ms")
    note("sleep<", n)
  end

  -- A key that only one can make.
  function ops.lock(name)
    local n = number()
    note("lock>", n, name)
    local made, err = store.get("app:kv"):put("l" .. name, me, { only_if_absent = true })
    if made then note("lock<", n, name, "ok") else note("lock<", n, name, problem(err)) end
    held[name] = made ~= nil or held[name]
  end
  function ops.unlock(name)
    if not held[name] then return end
    held[name] = nil
    note("unlock>", name)
    store.get("app:kv"):delete("l" .. name)
  end

  -- One more, if nobody was quicker.
  function ops.bump(name)
    local n, kv, key = number(), store.get("app:kv"), "k" .. name
    note("bump>", n, key)
    local entry, err = kv:entry(key)
    local value = entry and entry.value or 0
    note("read<", n, key, value, entry and "ok" or problem(err))
    local options = entry and { if_version = entry.version } or { only_if_absent = true }
    local done, why = kv:put(key, value + 1, options)
    note("bump<", n, key, value + 1, done and "ok" or problem(why))
  end

  local function run(script, from, is_main)
    for at = from, #script do
      local op = script[at]
      local name = op[1]
      if name == "fork" then
        local part = op[2]
        coroutine.spawn(function() run(part, 1, false) end)
      elseif name == "upgrade" then
        note("upgrade")
        local _, err = process.upgrade(nil, {
          roles = roles, role = state.role, known = known, seq = seq, count = count, trap = trap, at = at + 1,
          generation = (state.generation or 0) + 1, exec = state.exec,
        })
        note("upgrade!", problem(err))
      elseif name == "fail" then
        note("fails", "boom" .. op[2])
        error("boom" .. op[2])
      else
        ops[name](table.unpack(op, 2))
      end
      if is_main and canceled then return end
    end
  end

  run(role.script, state.at or 1, true)
  local vias = { "events", "inbox", "a", "b" }
  while role.ending == "serve" and not canceled and not state.exec do
    ops.wait(-1, table.unpack(vias))
  end
  if role.ending == "fail" and not canceled then
    note("fails", "the end of " .. me)
    return nil, errors.new({ message = "the end of " .. me, kind = errors.CONFLICT })
  end
  for _, via in ipairs(vias) do
    while channel_of(via) and ops.wait(0, via) do end
  end
  note("returns")
  return me
end

return { main = main }
