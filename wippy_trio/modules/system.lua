-- The `system` module.
local sys, K = ...
local type, tostring, tonumber = type, tostring, tonumber
local tointeger = math.tointeger

local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", index, name)
end
local function integer(v, name)
  if type(v) == "string" then v = tonumber(v) or v end
  sys.check(v, "number", 1, name)
  return tointeger(v) or tointeger(v >= 0 and v // 1 or -(-v // 1)) or sys.argument_error(1, name, "integer expected")
end
-- An argument that may be left out.
local function optional(v, name)
  if v == nil then return nil end
  return integer(v, name)
end

local set_limit, set_percent = sys.immediate("system.memory.set_limit"), sys.immediate("system.gc.set_percent")
local max_procs, set_max_procs = sys.immediate("system.runtime.max_procs"), sys.immediate("system.runtime.set_max_procs")
local exit, raft = sys.immediate("system.exit"), sys.immediate("system.raft")
local state, processes = sys.immediate("system.supervisor.state"), sys.immediate("system.hosts.processes")
local acquire, release = sys.immediate("system.lock.acquire"), sys.immediate("system.lock.release")

local function no_raft(resource)
  return function() return raft(resource) end
end
local function group(name, functions) return K.freeze(functions, "system." .. name) end
local function plain(name)
  local operation = sys.immediate("system." .. name)
  return function() return operation() end
end

return {
  exit = function(code) return exit(optional(code, "exit") or 0) end,
  modules = plain("modules"),
  memory = group("memory", {
    stats = plain("memory.stats"),
    allocated = plain("memory.allocated"),
    heap_objects = plain("memory.heap_objects"),
    get_limit = plain("memory.get_limit"),
    set_limit = function(limit) return set_limit(optional(limit, "set_limit")) end,
  }),
  gc = group("gc", {
    collect = plain("gc.collect"),
    get_percent = plain("gc.get_percent"),
    set_percent = function(percent) return set_percent(optional(percent, "set_percent")) end,
  }),
  runtime = group("runtime", {
    goroutines = plain("runtime.goroutines"),
    cpu_count = plain("runtime.cpu_count"),
    max_procs = function(count)
      if count == nil then return max_procs() end
      return set_max_procs(integer(count, "max_procs"))
    end,
  }),
  process = group("process", {
    pid = plain("process.pid"),
    hostname = plain("process.hostname"),
    cwd = plain("process.cwd"),
  }),
  node = group("node", { id = plain("node.id"), addr = plain("node.addr"), role = plain("node.role") }),
  cluster = group("cluster", {
    members = plain("cluster.members"),
    leader = plain("cluster.leader"),
    size = plain("cluster.size"),
  }),
  raft = group("raft", {
    is_leader = no_raft("raft"),
    is_member = no_raft("raft"),
    role = no_raft("raft"),
    term = no_raft("raft"),
    commit_index = no_raft("raft"),
    stats = no_raft("raft_stats"),
  }),
  supervisor = group("supervisor", {
    state = function(id) return state(text(id, 1, "state")) end,
    states = plain("supervisor.states"),
  }),
  hosts = group("hosts", {
    list = plain("hosts.list"),
    processes = function(id) return processes(text(id, 1, "processes")) end,
  }),
  lock = group("lock", {
    acquire = function(name)
      local taken, problem = acquire(text(name, 1, "acquire"))
      -- Held by another is a plain no beside the error; a real failure has no answer at all.
      if taken == nil and problem:kind() == "AlreadyExists" then return false, problem end
      return taken, problem
    end,
    release = function(name) return release(text(name, 1, "release")) end,
  }),
}
