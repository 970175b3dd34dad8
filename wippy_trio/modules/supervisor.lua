-- supervisor: dynamic children of process.supervisor entries.
local sys = ...
local type = type

local function invalid(message) return nil, sys.error("Invalid", message, false) end

-- `target`: entry id, path below it, PID or registered name of a supervisor.
local function on(op, want, what)
  return function(target, value)
    if type(target) ~= "string" or target == "" then return invalid("supervisor must be a non-empty string") end
    if not want then return op(target) end
    if type(value) ~= want then return invalid(what .. " must be a " .. want) end
    return op(target, value)
  end
end

return {
  start_child = on(sys.waiting("supervisor.start_child"), "table", "child"),
  restart_child = on(sys.waiting("supervisor.restart_child"), "string", "child id"),
  terminate_child = on(sys.waiting("supervisor.terminate_child"), "string", "child id"),
  delete_child = on(sys.waiting("supervisor.delete_child"), "string", "child id"),
  which_children = on(sys.immediate("supervisor.which_children")),
  count_children = on(sys.immediate("supervisor.count_children")),
}
