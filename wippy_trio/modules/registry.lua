-- registry: entries, snapshots, changes, versions. Source: docs lua/core/registry.
-- What an object stands for lives in `values`, out of its holder's reach.
local sys, K = ...
local type, next, tostring, setmetatable = type, next, tostring, setmetatable
local tointeger, floor = math.tointeger, math.floor
local check, argument_error, is, copy = sys.check, sys.argument_error, sys.is, sys.copy
local values = setmetatable({}, { __mode = "k" }) -- instance -> number of a version, or a list of operations

local function invalid(message) return sys.error("Invalid", message, false) end
local function plain_table(v) return type(v) == "table" and not K.is_object(v) end
local function expect(v, class, name)
  if not is(v, class) then argument_error(1, name, class .. " expected") end
  return values[v]
end
local function make(class, value)
  local object = sys.instance(class, {})
  values[object] = value
  return object
end
-- A version number, from a Lua number; the fraction is cut off.
local function whole(v, index, name)
  check(v, "number", index, name)
  return tointeger(v) or tointeger(floor(v)) or -1
end

-- Criteria as the finder wants them: text keys only, the keys of a nested `meta` table among the others.
local function criteria_of(filter)
  local criteria = {}
  for key, value in next, filter do
    if type(key) == "string" and key ~= "meta" then criteria[key] = value end
  end
  if plain_table(filter.meta) then
    for key, value in next, filter.meta do
      if type(key) == "string" then criteria[key] = value end
    end
  end
  return criteria
end

-- versions -----------------------------------------------------------------------------------------------------------
local version_methods = {}
local Version
local function new_version(number) return make(Version, number) end
Version = sys.class("registry.Version", version_methods, {
  pack = function(v) return values[v] end,
  unpack = new_version,
  meta = { __tostring = function(v) return "registry.Version{v" .. values[v] .. "}" end },
})

local previous_op, next_op = sys.immediate("registry.version.previous"), sys.immediate("registry.version.next")
local function version_or_nil(number)
  if number == nil then return nil end
  return new_version(number)
end
function version_methods.id(v) return expect(v, "registry.Version", "id") end
function version_methods.string(v) return "v" .. expect(v, "registry.Version", "string") end
function version_methods.previous(v) return version_or_nil((previous_op(expect(v, "registry.Version", "previous")))) end
function version_methods.next(v) return version_or_nil((next_op(expect(v, "registry.Version", "next")))) end

local all_op, known_op = sys.immediate("registry.version.all"), sys.immediate("registry.version.known")
local current_op = sys.immediate("registry.version.current")
local function versions()
  local list = {}
  for i, number in next, all_op() do list[i] = new_version(number) end
  return list
end

-- changes ------------------------------------------------------------------------------------------------------------
local change_methods = {}
local Changes = sys.class("registry.Changes", change_methods, {
  meta = { __tostring = function(c) return "registry.Changes{ops=" .. #values[c] .. "}" end },
})
local apply_op = sys.waiting("registry.apply")

local function id_of(v)
  if type(v) == "string" and v ~= "" then return v end
  if plain_table(v) then
    if v.ns == nil or v.name == nil then return nil, "id requires ns and name fields" end
    return tostring(v.ns) .. ":" .. tostring(v.name)
  end
  return nil, "entry must have valid id field"
end
-- An entry a user wrote, checked and copied; (nil, text) where it is none.
local function entry_of(t)
  local id, problem = id_of(t.id)
  if not id then return nil, problem end
  if type(t.kind) ~= "string" then return nil, "entry must have kind field" end
  local meta = {}
  if plain_table(t.meta) then
    for k, v in next, t.meta do
      if type(k) == "string" then meta[k] = copy(v) end
    end
  end
  return { id = id, kind = t.kind, meta = meta, data = copy(t.data) }
end
local function add(c, name, kind, entry)
  local ops = expect(c, "registry.Changes", name)
  check(entry, "table", 2, name)
  local made, problem = entry_of(entry)
  if not made then return nil, invalid("convert entry: " .. problem) end
  ops[#ops + 1] = { kind = kind, entry = made }
  return c
end
function change_methods.create(c, entry) return add(c, "create", "entry.create", entry) end
function change_methods.update(c, entry) return add(c, "update", "entry.update", entry) end
function change_methods.delete(c, id)
  local ops = expect(c, "registry.Changes", "delete")
  id = id_of(id)
  if not id then return nil, invalid("invalid ID format") end
  ops[#ops + 1] = { kind = "entry.delete", entry = { id = id, kind = "", meta = {} } }
  return c
end
function change_methods.ops(c) return copy(expect(c, "registry.Changes", "ops")) end
function change_methods.apply(c)
  local ops = expect(c, "registry.Changes", "apply")
  if #ops == 0 then return nil, invalid("no changes to apply") end
  local number, err = apply_op(ops)
  if err then return nil, err end
  return new_version(number)
end

-- snapshots ----------------------------------------------------------------------------------------------------------
local snapshot_methods = {}
local Snapshot = sys.class("registry.Snapshot", snapshot_methods, {
  meta = { __tostring = function(s) return "registry.Snapshot{version=v" .. values[s] .. "}" end },
})
local load_op = sys.waiting("registry.snapshot.load")
local function reader(name, want)
  local op = sys.immediate("registry.snapshot." .. name)
  return function(s, argument)
    local number = expect(s, "registry.Snapshot", name)
    argument = want and check(argument, want, 2, name) or nil
    if want == "table" then argument = criteria_of(argument) end
    local result, err = op(number, argument)
    if result == false then -- pushed out by newer ones
      local _
      _, err = load_op(number)
      if err then return nil, err end
      result, err = op(number, argument)
    end
    return result, err
  end
end
snapshot_methods.entries, snapshot_methods.get = reader("entries"), reader("get", "string")
snapshot_methods.find, snapshot_methods.namespace = reader("find", "table"), reader("namespace", "string")
function snapshot_methods.version(s) return new_version(expect(s, "registry.Snapshot", "version")) end
function snapshot_methods.changes(s)
  expect(s, "registry.Snapshot", "changes")
  return make(Changes, {})
end
local function load_snapshot(number)
  local _, err = load_op(number)
  if err then return nil, err end
  return make(Snapshot, number)
end

-- history ------------------------------------------------------------------------------------------------------------
local history_methods = {}
local History = sys.class("registry.History", history_methods, {
  meta = { __tostring = function() return "registry.History{}" end },
})
-- A version object as an argument: its number, or (nil, error).
local function version_argument(v, index, name)
  if is(v, "registry.Version") then return values[v] end
  if not K.is_object(v) then argument_error(index, name, "version expected") end
  return nil, invalid("expected version object")
end
local function not_found() return sys.error("NotFound", "version not found", false) end

function history_methods.versions(h)
  expect(h, "registry.History", "versions")
  return versions()
end
function history_methods.get_version(h, id)
  expect(h, "registry.History", "get_version")
  local number = whole(id, 2, "get_version")
  if number < 0 then return nil, invalid("invalid version ID") end
  if not known_op(number) then return nil, not_found() end
  return new_version(number)
end
function history_methods.snapshot_at(h, version)
  expect(h, "registry.History", "snapshot_at")
  local number, err = version_argument(version, 2, "snapshot_at")
  if not number then return nil, err end
  return load_snapshot(number)
end

-- the module ---------------------------------------------------------------------------------------------------------
local get, find = sys.immediate("registry.get"), sys.immediate("registry.find")
local take = sys.immediate("registry.snapshot")
local apply_version_op, delta_op = sys.waiting("registry.apply_version"), sys.immediate("registry.build_delta")

local function entries_of(list)
  local entries = {}
  for _, item in next, list do
    local entry = plain_table(item) and entry_of(item)
    if entry then entries[#entries + 1] = entry end
  end
  return entries
end

local M = {}
function M.get(id) return get(check(id, "string", 1, "get")) end
function M.find(filter) return find(criteria_of(check(filter, "table", 1, "find"))) end
function M.parse_id(text)
  check(text, "string", 1, "parse_id")
  local ns, name = text:match("^([^:]*):(.*)$")
  if ns then return { ns = ns, name = name } end
  return { ns = "", name = text }
end
function M.snapshot() return make(Snapshot, take()) end
function M.snapshot_at(id)
  local number = whole(id, 1, "snapshot_at")
  if number <= 0 then return nil, invalid("invalid version ID") end
  if not known_op(number) then return nil, not_found() end
  return load_snapshot(number)
end
function M.current_version() return new_version(current_op()) end
function M.versions() return versions() end
function M.history() return make(History, true) end
function M.apply_version(version)
  local number, err = version_argument(version, 1, "apply_version")
  if not number then return nil, err end
  local ok
  ok, err = apply_version_op(number)
  if err and err:kind() == "PermissionDenied" then return nil, err end
  return ok or false, err
end
function M.build_delta(from, to)
  check(from, "table", 1, "build_delta")
  check(to, "table", 2, "build_delta")
  return delta_op(entries_of(from), entries_of(to))
end
return M
