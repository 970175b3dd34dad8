-- Types as run-time values: what `type N = T` of a typed source becomes (sandbox/types/emit_types.py emits the calls).
-- Loaded once per VM as chunk(rt), gives the constructors. Uses rt.class, rt.new_error and, where there, rt.is_error,
-- rt.is_object, rt.tostring and rt.tick. A *node* describes a type and is never seen by user code; a *type value* is an
-- empty object that stands for a node. Source: docs page lua/types; what it leaves open is settled in
-- docs/internals/front-end.md.
-- size: the VM loads one chunk per library; nodes, subtypes, validation and values refer to one another.
local rt = ...
local type, next, setmetatable, error, rawequal = type, next, setmetatable, error, rawequal
local pcall = rt.pcall or pcall -- a kill passes through, and nesting is bounded
local floor, huge, math_type = math.floor, math.huge, math.type
local sort, concat, unpack = table.sort, table.concat, table.unpack
local byte, sub, format, utf8_len, codepoint = string.byte, string.sub, string.format, utf8.len, utf8.codepoint
local tostring = rt.tostring or tostring

local MAX_COMPARISONS = 100000 -- steps of one subtype test
local MAX_DEPTH = 1000 -- nesting of a value that is validated
local GUARD_DEPTH = 20 -- from here on cycles of the value are looked for
local TICK_STEPS = 2000 -- checked values between two budget ticks
local SHOW_CHARS = 200 -- length of a type in a message
local INFER_DEPTH = 5 -- levels of a table that typeof looks into

local T = {}
local node_of = setmetatable({}, { __mode = "k" }) -- type value -> node
local strip, subtype, value

-- nodes ------------------------------------------------------------------------------------------------------------
local prim = {}
T.prim = prim
for _, name in next, {
  "any", "unknown", "never", "nil", "boolean", "number", "integer", "string", "table", "function", "thread", "userdata",
  "error",
} do
  prim[name] = { k = "prim", name = name }
end

function T.literal(v) return { k = "literal", v = v } end
function T.optional(inner) return { k = "optional", inner = inner } end
function T.union(list) return { k = "union", list = list } end
function T.intersection(list) return { k = "intersection", list = list } end
function T.array(elem) return { k = "array", elem = elem } end
function T.map(key, val) return { k = "map", key = key, val = val } end
-- Fields are {name, node, optional}; key and val are of the index signature.
function T.record(fields, key, val)
  local by_name = {}
  for i = 1, #fields do by_name[fields[i][1]] = fields[i] end
  return { k = "record", fields = fields, by_name = by_name, key = key, val = val }
end
function T.func(params, returns, rest) return { k = "function", params = params, returns = returns, rest = rest } end
function T.checked(inner, rules) return { k = "checked", inner = inner, rules = rules } end
function T.keyof(inner) return { k = "keyof", inner = inner } end
function T.index(object, key) return { k = "index", object = object, key = key } end
function T.conditional(a, b, yes, no) return { k = "conditional", a = a, b = b, yes = yes, no = no } end
function T.ref(slots, index, ...) return { k = "ref", slots = slots, index = index, args = { ... } } end
-- A name from elsewhere: a type value in a variable or in a library, else unknown here and not checked.
function T.lib(path, get, ...) return { k = "lib", name = path, get = get, args = { ... } } end

function T.interface(label, methods, bases)
  local node = T.record(methods)
  node.k, node.bases, node.label = "interface", bases, label
  return node
end

function T.decl(slots, index, name, node)
  local named = { k = "alias", inner = node, name = name }
  slots[index] = named
  return value(named)
end
function T.generic(slots, index, name, count, make)
  local named = { k = "generic", name = name, count = count, make = make }
  slots[index] = named
  return value(named)
end

local function instantiate(node, args)
  local full = {}
  for i = 1, node.count do full[i] = args[i] or prim.any end
  return { k = "alias", inner = node.make(unpack(full, 1, node.count)), name = node.name, args = args }
end

-- The fields of a record, an interface with its bases, or an intersection; nil for anything else.
local function fields_of(node, depth)
  node = strip(node)
  depth = depth or 0
  if depth > 20 then return nil end
  if node.k == "record" and not node.bases then return node end
  local parts = node.k == "intersection" and node.list or node.bases
  if not parts then return nil end
  if node.merged then return node.merged end
  local fields, key, val, seen = {}, nil, nil, {}
  local function take(part)
    for _, field in next, part.fields do
      if not seen[field[1]] then
        seen[field[1]] = true
        fields[#fields + 1] = field
      end
    end
    key, val = key or part.key, val or part.val
  end
  for i = 1, #parts do
    local part = fields_of(parts[i], depth + 1)
    if part then take(part) elseif node.k == "intersection" then return nil end
  end
  if node.k == "interface" then take(node) end
  node.merged = T.record(fields, key, val)
  return node.merged
end

local function keys_of(node)
  local record = fields_of(node)
  if record then
    local list = {}
    for i, field in next, record.fields do list[i] = T.literal(field[1]) end
    if record.key then list[#list + 1] = record.key end
    return #list == 0 and prim.never or T.union(list)
  end
  node = strip(node)
  if node.k == "map" then return node.key end
  return node.k == "array" and prim.integer or prim.any
end

local function element_of(object, key)
  local record = fields_of(object)
  key = strip(key)
  local field = record and key.k == "literal" and record.by_name[key.v]
  if field then return field[3] and T.optional(field[2]) or field[2] end
  object = strip(object)
  return object.k == "array" and object.elem or object.k == "map" and object.val or record and record.val or prim.any
end

local RESOLVE = {
  alias = function(node) return node.inner end,
  ref = function(node)
    local target = node.slots[node.index]
    if target == nil then return prim.any end
    if target.k == "generic" then target = instantiate(target, node.args) end
    node.target = target
    return target
  end,
  lib = function(node)
    local ok, found = pcall(node.get)
    local target = ok and type(found) == "table" and node_of[found] or nil
    if not target then return prim.any end
    if target.k == "generic" then target = instantiate(target, node.args) end
    node.target = target
    return target
  end,
  keyof = function(node)
    node.target = keys_of(node.inner)
    return node.target
  end,
  index = function(node) return element_of(node.object, node.key) end,
  conditional = function(node)
    node.target = subtype(node.a, node.b) and node.yes or node.no
    return node.target
  end,
}

-- What a name stands for: a node that is no alias, reference or operator.
local function resolve(node)
  for _ = 1, 100 do
    local step = RESOLVE[node.k]
    if not step then return node end
    node = node.target or step(node)
  end
  return prim.never -- type A = A
end

-- The same without validators.
function strip(node)
  node = resolve(node)
  while node.k == "checked" do node = resolve(node.inner) end
  return node
end

-- texts of types -----------------------------------------------------------------------------------------------------
local show_inner

local function show_list(list, separator, depth)
  local out = {}
  for i = 1, #list do out[i] = show_inner(list[i], depth) end
  return concat(out, separator)
end

local SHOW = {
  prim = function(node) return node.name end,
  literal = function(node)
    return type(node.v) == "string" and format("%q", node.v) or tostring(node.v)
  end,
  optional = function(node, depth)
    local k = node.inner.k
    local text = show_inner(node.inner, depth)
    return (k == "union" or k == "intersection" or k == "function") and "(" .. text .. ")?" or text .. "?"
  end,
  union = function(node, depth) return show_list(node.list, " | ", depth) end,
  intersection = function(node, depth) return show_list(node.list, " & ", depth) end,
  array = function(node, depth) return "{" .. show_inner(node.elem, depth) .. "}" end,
  map = function(node, depth)
    return "{[" .. show_inner(node.key, depth) .. "]: " .. show_inner(node.val, depth) .. "}"
  end,
  record = function(node, depth)
    local out = {}
    for i, field in next, node.fields do
      out[i] = field[1] .. (field[3] and "?: " or ": ") .. show_inner(field[2], depth)
    end
    if node.key then out[#out + 1] = "[" .. show_inner(node.key, depth) .. "]: " .. show_inner(node.val, depth) end
    return "{" .. concat(out, ", ") .. "}"
  end,
  interface = function(node) return node.label end,
  ["function"] = function(node, depth)
    local rest = node.rest and (#node.params > 0 and ", ..." or "...") .. show_inner(node.rest, depth) or ""
    local returns = show_list(node.returns, ", ", depth)
    if #node.returns ~= 1 then returns = "(" .. returns .. ")" end
    return "(" .. show_list(node.params, ", ", depth) .. rest .. ") -> " .. returns
  end,
  checked = function(node, depth) return show_inner(node.inner, depth) end,
  ref = function(node, depth)
    local target = node.slots[node.index]
    local name = target and target.name or "any"
    return #node.args > 0 and name .. "<" .. show_list(node.args, ", ", depth) .. ">" or name
  end,
}

function show_inner(node, depth)
  if node.name then
    local args = node.args
    return args and #args > 0 and node.name .. "<" .. show_list(args, ", ", depth + 1) .. ">" or node.name
  end
  if depth > 8 then return "..." end
  local show = SHOW[node.k]
  return show and show(node, depth + 1) or show_inner(resolve(node), depth + 1)
end

local function show(node)
  local text = show_inner(node, 0)
  return #text <= SHOW_CHARS and text or text:sub(1, SHOW_CHARS) .. "..."
end

-- subtypes ------------------------------------------------------------------------------------------------------------
local under

local function all(list, test)
  for i = 1, #list do
    if not test(list[i]) then return false end
  end
  return true
end
local function any(list, test)
  for i = 1, #list do
    if test(list[i]) then return true end
  end
  return false
end
local function same(a, b, state) return under(a, b, state) and under(b, a, state) end

local function covers(a, b) -- the rules of a are at least as strict as those of b
  for name, limit in next, b do
    local own = a[name]
    if own == nil then return false end
    if name == "min" or name == "min_len" then
      if own < limit then return false end
    elseif name == "max" or name == "max_len" then
      if own > limit then return false end
    elseif name == "pattern" and own ~= limit then
      return false
    end
  end
  return true
end

local function under_record(a, b, state)
  if a.k == "map" then return #b.fields == 0 and b.key and same(a.key, b.key, state) and same(a.val, b.val, state) end
  local own = fields_of(a)
  if not own then return false end
  for _, field in next, b.fields do
    local mine = own.by_name[field[1]]
    if mine then
      if mine[3] and not field[3] or not same(mine[2], field[2], state) then return false end
    elseif not field[3] then
      return false
    end
  end
  return true
end

local function under_function(a, b, state)
  for i = 1, #a.params do
    local given = b.params[i] or b.rest or prim["nil"]
    if not under(given, a.params[i], state) then return false end
  end
  for i = 1, #b.returns do
    if not under(a.returns[i] or prim["nil"], b.returns[i], state) then return false end
  end
  return true
end

local LITERAL = { string = "string", boolean = "boolean", number = "number" }
local IS_TABLE = { array = true, map = true, record = true }

local function under_shape(a, b, state)
  local ak, bk = a.k, b.k
  if bk == "prim" then
    if ak == "literal" then
      return LITERAL[type(a.v)] == b.name or b.name == "integer" and math_type(a.v) == "integer"
    end
    if ak == "prim" then return a.name == b.name or a.name == "integer" and b.name == "number" end
    return b.name == "table" and IS_TABLE[ak] or b.name == "function" and ak == "function" or false
  end
  if bk == "literal" then return ak == "literal" and a.v == b.v end
  if bk == "array" then return ak == "array" and same(a.elem, b.elem, state) end
  if bk == "function" then return ak == "function" and under_function(a, b, state) end
  if bk == "map" then
    if ak == "map" then return same(a.key, b.key, state) and same(a.val, b.val, state) end
    return ak == "record" and under(prim.string, b.key, state)
      and all(a.fields, function(field) return under(field[2], b.val, state) end)
  end
  if bk == "record" or bk == "interface" then return under_record(a, fields_of(b) or b, state) end
  return false
end

function under(a, b, state)
  a, b = resolve(a), resolve(b)
  if a == b then return true end
  if b == prim.any or b == prim.unknown or a == prim.never then return true end
  state.steps = state.steps + 1
  if state.steps > MAX_COMPARISONS then return false end
  local assumed = state[a]
  if not assumed then
    assumed = {}
    state[a] = assumed
  elseif assumed[b] ~= nil then
    return assumed[b] -- being compared: so assumed; compared before: so found
  end
  assumed[b] = true
  local found
  if a.k == "union" then
    found = all(a.list, function(x) return under(x, b, state) end)
  elseif a.k == "optional" then
    found = under(prim["nil"], b, state) and under(a.inner, b, state)
  elseif b.k == "intersection" then
    found = all(b.list, function(x) return under(a, x, state) end)
  elseif b.k == "union" then
    found = any(b.list, function(x) return under(a, x, state) end)
  elseif b.k == "optional" then
    found = a == prim["nil"] or under(a, b.inner, state)
  elseif b.k == "checked" then
    found = a.k == "checked" and covers(a.rules, b.rules) and under(a.inner, b.inner, state)
  elseif a.k == "checked" then
    found = under(a.inner, b, state)
  elseif a.k == "intersection" then
    found = any(a.list, function(x) return under(x, b, state) end) or under_shape(a, b, state)
  else
    found = under_shape(a, b, state)
  end
  assumed[b] = found or false
  return assumed[b]
end

function subtype(a, b) return under(a, b, { steps = 0 }) end

local function class_type(v)
  local t = type(v)
  if t == "table" and rt.is_object and rt.is_object(v) then return "userdata" end
  return t
end

local function describe(v)
  local t = class_type(v)
  if t == "string" then
    return #v <= 40 and format("%q", v) or "a string of " .. #v .. " bytes"
  elseif t == "number" or t == "boolean" then
    return tostring(v)
  end
  return t
end

-- regular expressions: the programs of sandbox/types/regex.py ---------------------------------------------------------
local function is_word(c)
  return c and (c >= 48 and c <= 57 or c >= 65 and c <= 90 or c == 95 or c >= 97 and c <= 122)
end

local function holds(kind, before, after)
  if kind == 1 then return not before end
  if kind == 2 then return not after end
  if kind == 3 then return not before or before == 10 end
  if kind == 4 then return not after or after == 10 end
  return (is_word(before) and not is_word(after) or is_word(after) and not is_word(before) or false) == (kind == 5)
end

local function in_ranges(op, c)
  for i = 2, #op, 2 do
    if c < op[i] then return false end
    if c <= op[i + 1] then return true end
  end
  return false
end

-- Whether the program matches anywhere in s: all its states at once, one pass.
local function matches(program, s)
  local states, count = {}, 0
  local at, size, before, steps = 1, #s, nil, 0
  while true do
    local after, width
    if at <= size then
      after, width = byte(s, at), 1
      if after >= 128 then
        if utf8_len(s, at, at) then
          width = after >= 240 and 4 or after >= 224 and 3 or 2
          after = codepoint(s, at)
        else
          after = 0xFFFD
        end
      end
    end
    local stack, top, marked, nexts, next_count = states, count + 1, {}, {}, 0
    stack[top] = 1
    while top > 0 do
      local pc = stack[top]
      top = top - 1
      if not marked[pc] then
        marked[pc] = true
        steps = steps + 1
        local op = program[pc]
        local code = op[1]
        if code == 1 then
          if after and in_ranges(op, after) then
            next_count = next_count + 1
            nexts[next_count] = pc + 1
          end
        elseif code == 2 then
          stack[top + 1], stack[top + 2] = op[3], op[2]
          top = top + 2
        elseif code == 3 then
          top = top + 1
          stack[top] = op[2]
        elseif code == 4 then
          return true
        elseif holds(op[2], before, after) then
          top = top + 1
          stack[top] = pc + 1
        end
      end
    end
    if not after then return false end
    if steps >= TICK_STEPS then
      steps = 0
      if rt.tick then rt.tick() end
    end
    states, count, before, at = nexts, next_count, after, at + width
  end
end

local check

-- validation: a check gives nil, or what is wrong and the path to it ------------------------------------------------
local function expected(node, v) return "expected " .. show(node) .. ", got " .. describe(v) end
local function join(name, path) return path and name .. (sub(path, 1, 1) == "[" and path or "." .. path) or name end

local PRIM = {
  any = function() return true end,
  unknown = function() return true end,
  never = function() return false end,
  ["nil"] = function(v) return v == nil end,
  number = function(v) return type(v) == "number" end,
  integer = function(v)
    return math_type(v) == "integer" or type(v) == "number" and v == floor(v) and v < huge and v > -huge
  end,
  error = function(v)
    if rt.is_error then return rt.is_error(v) end
    return class_type(v) == "userdata"
  end,
}
for _, name in next, { "boolean", "string", "table", "function", "thread", "userdata" } do
  PRIM[name] = function(v) return class_type(v) == name end
end

local function outside(what, v, side, limit) return what .. tostring(v) .. side .. tostring(limit) end

local function check_rules(rules, v)
  local t = type(v)
  if t == "number" then
    if rules.min and not (v >= rules.min) then return outside("value ", v, " is below the minimum ", rules.min) end
    if rules.max and not (v <= rules.max) then return outside("value ", v, " is above the maximum ", rules.max) end
  elseif t == "string" or t == "table" then
    local n = #v
    local low, high = rules.min_len, rules.max_len
    if low and n < low then return outside("length ", n, " is below the minimum length ", low) end
    if high and n > high then return outside("length ", n, " is above the maximum length ", high) end
    if t == "string" and rules.program and not matches(rules.program, v) then
      return describe(v) .. " does not match the pattern " .. rules.pattern
    end
  end
end

local function check_entries(node, v, state)
  for key, entry in next, v do
    if not (node.by_name and node.by_name[key]) then
      local wrong, path = check(node.key, key, state)
      local shown = type(key) == "string" and key or "[" .. describe(key) .. "]"
      if wrong then return "key: " .. wrong, join(shown, path) end
      wrong, path = check(node.val, entry, state)
      if wrong then return wrong, join(shown, path) end
    end
  end
end

local CHECK = {}
function CHECK.prim(node, v)
  if not PRIM[node.name](v) then return expected(node, v) end
end
function CHECK.literal(node, v)
  if v ~= node.v then return expected(node, v) end
end
function CHECK.optional(node, v, state)
  if v ~= nil then return check(node.inner, v, state) end
end
function CHECK.union(node, v, state)
  local list = node.list
  for i = 1, #list do
    if not check(list[i], v, state) then return nil end
  end
  return expected(node, v)
end
function CHECK.intersection(node, v, state)
  for i = 1, #node.list do
    local wrong, path = check(node.list[i], v, state)
    if wrong then return wrong, path end
  end
end
CHECK["function"] = function(node, v)
  if type(v) ~= "function" then return "expected function " .. show(node) .. ", got " .. describe(v) end
end
function CHECK.checked(node, v, state)
  local wrong, path = check(node.inner, v, state)
  if wrong then return wrong, path end
  return check_rules(node.rules, v)
end
function CHECK.array(node, v, state)
  if class_type(v) ~= "table" then return expected(node, v) end
  local n = #v
  if n == 0 and next(v) ~= nil then return "expected " .. show(node) .. ", got a table with keys" end
  for i = 1, n do
    local wrong, path = check(node.elem, v[i], state)
    if wrong then return wrong, join("[" .. i .. "]", path) end
  end
end
function CHECK.map(node, v, state)
  if class_type(v) ~= "table" then return expected(node, v) end
  return check_entries(node, v, state)
end
function CHECK.record(node, v, state)
  if class_type(v) ~= "table" then return expected(node, v) end
  for i = 1, #node.fields do
    local field = node.fields[i]
    local x = v[field[1]]
    if x ~= nil or not field[3] then
      local wrong, path = check(field[2], x, state)
      if wrong then
        if x == nil and not path then
          return "missing required field '" .. field[1] .. "' of type " .. show(field[2])
        end
        return wrong, join(field[1], path)
      end
    end
  end
  if node.key then return check_entries(node, v, state) end
end
function CHECK.interface(node, v)
  local t = class_type(v)
  if t ~= "table" and t ~= "userdata" then return expected(node, v) end
  for _, field in next, (fields_of(node) or node).fields do
    local ok, method = pcall(function() return v[field[1]] end)
    if not ok or method == nil then return "missing method '" .. field[1] .. "' of " .. show(node) end
  end
end
function CHECK.generic(node, v, state) return check(instantiate(node, {}), v, state) end

function check(node, v, state)
  node = resolve(node)
  state.steps = state.steps + 1
  if state.steps >= TICK_STEPS then
    state.steps = 0
    if rt.tick then rt.tick() end
  end
  local depth = state.depth + 1
  if depth > MAX_DEPTH then return "the value is nested more than " .. MAX_DEPTH .. " levels deep" end
  local active
  if depth > GUARD_DEPTH and type(v) == "table" then -- inside itself a value is what it is claimed to be
    active = state.active[v]
    if not active then
      active = {}
      state.active[v] = active
    elseif active[node] then
      return nil
    end
    active[node] = true
  end
  state.depth = depth
  local wrong, path = CHECK[node.k](node, v, state)
  state.depth = depth - 1
  if active then active[node] = nil end
  return wrong, path
end

-- What is wrong with v as a value of the type, or nil.
local function problem(node, v)
  local wrong, path = check(node, v, { steps = 0, depth = 0, active = {} })
  if wrong then return path and "field '" .. path .. "': " .. wrong or wrong end
end

-- typeof --------------------------------------------------------------------------------------------------------------
local infer

local function common(list)
  local seen, kinds = {}, {}
  for _, node in next, list do
    local text = show(node)
    if not seen[text] then
      seen[text] = true
      kinds[#kinds + 1] = node
    end
  end
  if #kinds == 1 then return kinds[1] end
  return #kinds > 0 and #kinds <= 8 and T.union(kinds) or prim.any
end

local function infer_table(v, depth)
  if depth > INFER_DEPTH or next(v) == nil then return prim.table end
  local names, list, keys = {}, {}, {}
  for key, x in next, v do
    if type(key) == "string" then names[#names + 1] = key end
    keys[#keys + 1] = infer(key, depth + 1)
    list[#list + 1] = infer(x, depth + 1)
  end
  if #v == #list then return T.array(common(list)) end
  if #names < #list then return T.map(common(keys), common(list)) end
  sort(names)
  local fields = {}
  for i, name in next, names do fields[i] = { name, infer(v[name], depth + 1), false } end
  return T.record(fields)
end

function infer(v, depth)
  local t = type(v)
  if t == "table" then
    if node_of[v] then return node_of[v] end
    return rt.is_object and rt.is_object(v) and prim.userdata or infer_table(v, depth)
  end
  return prim[t] or prim.any
end

-- The type of a value that is computed where the type is declared.
function T.of(get)
  local ok, v = pcall(get)
  return ok and v ~= nil and infer(v, 0) or prim.any
end

-- type values: empty objects, so that a field of a record can be asked for by its name -----------------------------
local methods = {}
local METATABLE

local function wrap(node)
  local object = setmetatable({}, METATABLE)
  node_of[object] = node
  return object
end

-- The type value of a node: one for each, so that types can be keys.
function value(node)
  if node.k == "ref" or node.k == "lib" then
    local target = node.target or (resolve(node) ~= node and node.target)
    if target then return value(target) end
  end
  local object = node.value
  if not object then
    object = wrap(node)
    node.value = object
  end
  return object
end
T.value = value

local function invalid(wrong) return rt.new_error("Invalid", wrong) end

local function self_node(v, method)
  local node = type(v) == "table" and node_of[v]
  if not node then error("bad argument #1 to '" .. method .. "' (type expected; call it with ':')", 3) end
  return node
end

function methods.is(t, v)
  local wrong = problem(self_node(t, "is"), v)
  if wrong then return nil, invalid(wrong) end
  return v, nil
end
function methods.kind(t)
  local node = strip(self_node(t, "kind"))
  return node.k == "prim" and node.name or node.k
end
function methods.name(t) return show(self_node(t, "name")) end

local function each(list, pick)
  local i = 0
  return function()
    i = i + 1
    local item = list[i]
    if item ~= nil then return pick(item) end
  end
end

local function field_node(field)
  if not field[3] then return field[2] end
  if not field.optional then field.optional = T.optional(field[2]) end
  return field.optional
end

function methods.fields(t)
  local record = fields_of(self_node(t, "fields"))
  return each(record and record.fields or {}, function(field) return field[1], value(field_node(field)) end)
end
function methods.variants(t)
  local node = strip(self_node(t, "variants"))
  return each(node.k == "union" and node.list or { node }, value)
end
function methods.params(t)
  local node = strip(self_node(t, "params"))
  return each(node.k == "function" and node.params or {}, value)
end
function methods.ret(t)
  local node = strip(self_node(t, "ret"))
  if node.k ~= "function" then return nil end
  return value(node.returns[1] or prim["nil"])
end
for method, part in next, { elem = "elem", key = "key", val = "val", inner = "inner" } do
  methods[method] = function(t)
    local node = strip(self_node(t, method))
    if method == "val" and node.k == "array" then part = "elem" end
    return node[part] and value(node[part]) or nil
  end
end

-- A field called like a method, such as `name`, is its type and, called on the record, the method.
local function view(owner, node, field, method)
  local views = node.views or {}
  node.views = views
  local object = views[field]
  if not object then
    local inner = field_node(field)
    object = wrap({ k = "alias", inner = inner, name = show(inner), owner = owner, method = method })
    views[field] = object
  end
  return object
end

local function get(t, key)
  local node = node_of[t]
  local record = node and fields_of(node)
  local field = record and record.by_name[key]
  if not field then return methods[key] end
  if methods[key] then return view(t, node, field, key) end
  return value(field_node(field))
end

local function call(t, v, ...)
  local node = node_of[t]
  if node.owner and rawequal(node.owner, v) then return methods[node.method](v, ...) end
  local wrong = problem(node, v)
  if wrong then return error(invalid(wrong), 2) end
  return v
end

local function compare(test)
  return function(a, b)
    local x, y = node_of[a], node_of[b]
    if not (x and y) then return error("attempt to compare a type with " .. type(x and b or a), 2) end
    return test(x, y)
  end
end

local meta = {
  __call = call,
  __tostring = function(t) return show(node_of[t]) end,
  __eq = function(a, b)
    local x, y = node_of[a], node_of[b]
    return x ~= nil and y ~= nil and subtype(x, y) and subtype(y, x)
  end,
  __le = compare(subtype),
  __lt = compare(function(x, y) return subtype(x, y) and not subtype(y, x) end),
}
-- Not shared between actors: a type may look at variables of the source that declared it.
local class = rt.class("Type", methods, { meta = meta, index = get })
METATABLE = class.metatable

-- Global names of the language: types as values, casting calls, typeof.
T.globals = {
  Number = value(prim.number), Integer = value(prim.integer), String = value(prim.string),
  Boolean = value(prim.boolean), number = value(prim.number), integer = value(prim.integer),
  boolean = value(prim.boolean), typeof = function(v) return value(infer(v, 0)) end,
}
-- string(x): __call of the string library's table.
function T.string_call(_, v)
  local wrong = problem(prim.string, v)
  if wrong then return error(invalid(wrong), 2) end
  return v
end

return T
