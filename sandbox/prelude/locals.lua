-- What an actor holds, as text: the messages that nobody has taken, and the variables of its waiting coroutines, frame by
-- frame. For whoever stops a simulated world; no program can reach it, and no metamethod of a program runs.
-- Called once per VM as chunk(K), after inspect.lua.
local K = ...
local type, next, rawget, sfind, ssub, sformat, gsub = type, next, rawget, string.find, string.sub, string.format, string.gsub
local sort, concat, mtype, costatus, tostring = table.sort, table.concat, math.type, coroutine.status, tostring
local getinfo, getlocal, getupvalue = debug.getinfo, debug.getlocal, debug.getupvalue
local actors = K.actors

local MAX_CHARS, MAX_ITEMS, MAX_DEPTH = 300, 16, 3 -- of a value
local MAX_LEVELS, MAX_NESTED, MAX_VARIABLES = 60, 10, 60 -- frames, coroutines in one another, variables of a frame
local MAX_MAIL, MAX_TASKS = 50, 50

local show

local function key_text(k)
  if type(k) == "string" then return sfind(k, "^[%a_][%w_]*$") and k or '["' .. ssub(k, 1, 60) .. '"]' end
  return "[" .. show(k, MAX_DEPTH) .. "]"
end

-- Functions only, and some: a module, whose names say enough.
local function is_module(t)
  local any = false
  for _, v in next, t do
    if type(v) ~= "function" then return false end
    any = true
  end
  return any
end

local function by_text(x, y) return x[1] < y[1] end

local function show_table(t, depth)
  if next(t) == nil then return "{}" end
  if depth >= MAX_DEPTH then return "{...}" end
  local items, count = {}, 0
  while count < MAX_ITEMS and rawget(t, count + 1) ~= nil do
    count = count + 1
    items[count] = show(rawget(t, count), depth + 1)
  end
  local rest = {}
  for k, v in next, t do
    if not (mtype(k) == "integer" and k >= 1 and k <= count) then
      if #rest < 200 then rest[#rest + 1] = { key_text(k), v } end
    end
  end
  sort(rest, by_text)
  for i = 1, #rest do
    if #items >= MAX_ITEMS then
      items[#items + 1] = "..."
      break
    end
    items[#items + 1] = rest[i][1] .. " = " .. show(rest[i][2], depth + 1)
  end
  return "{" .. concat(items, ", ") .. "}"
end

function show(v, depth)
  local kind = type(v)
  if kind == "string" then
    local text = gsub(sformat("%q", #v > MAX_CHARS and ssub(v, 1, MAX_CHARS) or v), "\\\n", "\\n")
    return #v > MAX_CHARS and text .. "..." or text
  elseif kind == "number" then
    return mtype(v) == "integer" and sformat("%d", v) or sformat("%.14g", v)
  elseif kind == "boolean" or kind == "nil" then
    return tostring(v)
  elseif kind == "function" then
    local info = getinfo(v, "S")
    return info.what == "C" and "function" or "function " .. info.short_src .. ":" .. info.linedefined
  elseif kind == "thread" then
    return "coroutine (" .. costatus(v) .. ")"
  elseif kind == "table" then
    local class = K.is_object(v)
    if class == "Message" then
      return "message{topic = " .. show(v[1], depth) .. ", from = " .. show(v[2], depth) .. ", " .. show(v[4], depth + 1) .. "}"
    elseif class == "Payload" then
      return "payload{" .. show(v[1], depth + 1) .. "}"
    elseif class == "Error" then
      return "error(" .. show(tostring(v), depth) .. ")"
    elseif class then
      local id = rawget(v, "id")
      return "<" .. class .. (type(id) == "string" and " " .. id or "") .. ">"
    end
    return is_module(v) and "{functions}" or show_table(v, depth)
  end
  return kind
end

local function variables(co, level, info)
  local found, n = {}, 0
  for i = 1, MAX_VARIABLES do
    local name, value = getlocal(co, level, i)
    if not name then break end
    if ssub(name, 1, 1) ~= "(" and ssub(name, 1, 4) ~= "__w_" then
      n = n + 1
      found[n] = { name = name, value = show(value, 0), kind = "local" }
    end
  end
  for i = 1, MAX_VARIABLES do
    local name, value = getupvalue(info.func, i)
    if not name then break end
    -- What was required or defined beside it is the program, not its state.
    local program = name == "_ENV" or ssub(name, 1, 4) == "__w_" or type(value) == "function"
      or type(value) == "table" and not K.is_object(value) and is_module(value)
    if not program then
      n = n + 1
      found[n] = { name = name, value = show(value, 0), kind = "upvalue" }
    end
  end
  return found
end

-- The frames of the program, the innermost first; those of a coroutine that it has resumed before its own.
local function frames_of(co, out, nested)
  for level = 0, MAX_LEVELS do
    local info = getinfo(co, level, "Slnf")
    if not info then break end
    local src = info.short_src
    if info.currentline > 0 then
      if sfind(src, "^kernel/") then
        for i = 1, 6 do
          local name, value = getlocal(co, level, i)
          if not name then break end
          if name == "co" and type(value) == "thread" and nested < MAX_NESTED and costatus(value) == "suspended" then
            frames_of(value, out, nested + 1)
          end
        end
      elseif not sfind(src, "^module ") then
        out[#out + 1] = {
          line = src .. ":" .. info.currentline, name = info.name or "", variables = variables(co, level, info),
        }
      end
    end
  end
  return out
end

local function mail_of(a)
  local out = {}
  local function put(topic, from, value)
    if #out < MAX_MAIL then out[#out + 1] = { topic = topic, from = from, value = show(value, 0) } end
  end
  local topics = {}
  for topic in next, a.topics do topics[#topics + 1] = topic end
  sort(topics)
  for i = 1, #topics do
    local ch = a.topics[topics[i]].channel
    for at = ch.bh, ch.bt do
      local v = ch.buf[at]
      if K.is_object(v) == "Message" then
        put(v[1], v[2], v[4])
      elseif v ~= nil then
        put(topics[i], "", v)
      end
    end
  end
  local pending = a.pending or {}
  for i = 1, #pending do put(pending[i][1], pending[i][2], pending[i][4]) end
  return out
end

-- Messages and variables of one actor, encoded; nil when it is not here. Its main task comes first.
function K.holds(id)
  local a = actors[id]
  if not a then return nil end
  local tasks = {}
  for co in next, a.alive do
    if #tasks < MAX_TASKS and costatus(co) ~= "dead" and K.task() ~= co then
      tasks[#tasks + 1] = { main = co == a.main, frames = frames_of(co, {}, 0) }
    end
  end
  return K.encode_message({ tasks = tasks, mail = mail_of(a) })
end
