-- registry: entries, snapshots, changes, versions. Source: docs lua/core/registry.
local sys = ...
local type, next = type, next
local get, find = sys.immediate("registry.get"), sys.immediate("registry.find")

-- Criteria as the finder wants them: text keys only, the keys of a nested `meta` table among the others.
local function criteria_of(filter)
  local criteria = {}
  for key, value in next, filter do
    if key == "meta" and type(value) == "table" then
      for name, wanted in next, value do
        if type(name) == "string" then criteria[name] = wanted end
      end
    elseif type(key) == "string" then
      criteria[key] = value
    end
  end
  return criteria
end

local M = {}

function M.get(id)
  sys.check(id, "string", 1, "get")
  return get(id)
end

function M.find(filter)
  sys.check(filter, "table", 1, "find")
  return find(criteria_of(filter))
end

function M.parse_id(text)
  sys.check(text, "string", 1, "parse_id")
  local ns, name = text:match("^([^:]*):(.*)$")
  if ns then return { ns = ns, name = name } end
  return { ns = "", name = text }
end

return M
