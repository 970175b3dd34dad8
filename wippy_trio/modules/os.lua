-- The time part of the standard `os` library.
local sys = ...
local type, tonumber, floor, ceil, tointeger, select = type, tonumber, math.floor, math.ceil, math.tointeger, select
local now, time_of, clock = sys.raw("os.time"), sys.immediate("os.time_of"), sys.raw("os.clock")
local date_text, date_table = sys.raw("os.date"), sys.immediate("os.date_table")

local function number(v, index, name)
  if type(v) == "number" then return v end
  local converted = type(v) == "string" and tonumber(v)
  if converted then return converted end
  return sys.check(v, "number", index, name)
end
local function whole(v)
  return tointeger(v >= 0 and floor(v) or ceil(v)) or 0
end

return {
  platform = "wippy",
  time = function(...)
    if select("#", ...) == 0 then return now() end
    local fields = sys.check((...), "table", 1, "time")
    local picked = { year = fields.year, month = fields.month, day = fields.day }
    picked.hour, picked.min, picked.sec = fields.hour, fields.min, fields.sec
    return time_of(picked)
  end,
  date = function(...)
    local count = select("#", ...)
    local form, timestamp = ...
    if count == 0 then form = "%c" else sys.check(form, "string", 1, "date") end
    if count > 1 then timestamp = whole(number(timestamp, 2, "date")) else timestamp = nil end
    if form == "*t" or form == "!*t" then return date_table(form, timestamp) end
    return date_text(form, timestamp)
  end,
  clock = function() return clock() end,
  difftime = function(later, earlier) return number(later, 1, "difftime") - number(earlier, 2, "difftime") end,
}
