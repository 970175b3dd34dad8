-- workflow: facts, children, versions and attributes of the running workflow. Source: docs temporal/workflows.
local sys = ...
local type, next, tointeger = type, next, math.tointeger
local exec_op, info_op = sys.waiting("workflow.exec"), sys.immediate("workflow.info")
local version_op, attrs_op = sys.immediate("workflow.version"), sys.immediate("workflow.attrs")
local history_op, expose_op = sys.immediate("workflow.history"), sys.immediate("workflow.expose")

local function invalid(message) return nil, sys.error("Invalid", message, false) end

local function integer(v, index)
  sys.check(v, "number", index, "version")
  return tointeger(v) or sys.argument_error(index, "version", "whole number expected")
end

-- The fields of a table with string keys, encoded as a map.
local function fields(t)
  local out = {}
  for k, v in next, t do
    if type(k) == "string" then out[k] = v end
  end
  return out
end

local M = {}

function M.info()
  local facts, err = info_op()
  return facts, err
end

function M.exec(id, ...)
  sys.check(id, "string", 1, "exec")
  if id == "" then return invalid("workflow ID required") end
  local ns, name = id:match("^([^:]*):(.*)$")
  if not ns or ns == "" or name == "" then
    return invalid("invalid workflow ID format (namespace:name required)")
  end
  return exec_op(id, ...)
end

function M.version(change_id, lowest, highest)
  sys.check(change_id, "string", 1, "version")
  if change_id == "" then return invalid("change ID required") end
  lowest, highest = integer(lowest, 2), integer(highest, 3)
  if lowest > highest then return invalid("min_supported cannot be greater than max_supported") end
  return version_op(change_id, lowest, highest)
end

function M.attrs(attributes)
  sys.check(attributes, "table", 1, "attrs")
  local search, memo = attributes.search, attributes.memo
  if search ~= nil and type(search) ~= "table" then return invalid("search must be a table") end
  if memo ~= nil and type(memo) ~= "table" then return invalid("memo must be a table") end
  if search == nil and memo == nil then return invalid("at least one of search or memo required") end
  return attrs_op(search and fields(search), memo and fields(memo))
end

function M.history_length() return history_op()[1] end
function M.history_size() return history_op()[2] end

-- Ours: puts a value up for queries (`workflow query ID KEY`).
function M.expose(key, value)
  sys.check(key, "string", 1, "expose")
  if key == "" then return invalid("key required") end
  return expose_op(key, value)
end
return M
