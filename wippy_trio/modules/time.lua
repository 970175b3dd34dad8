-- The `time` module. A Time is {seconds, nanoseconds, location}, a Duration its nanoseconds, a Location {code, name}.
-- All are immutable and cross actors, so what they hold is kept out of reach in weak tables.
local sys = ...
local type, select, setmetatable, error, tostring = type, select, setmetatable, error, tostring
local floor, ceil, tointeger, mathtype, abs = math.floor, math.ceil, math.tointeger, math.type, math.abs
local find, sub, match = string.find, string.sub, string.match
local MAX, MIN = math.maxinteger, math.mininteger
local NS <const> = 1000000000
local DAY <const> = 86400
local ZERO_SECONDS <const> = -62135596800 -- year 1
local RFC3339 <const> = "2006-01-02T15:04:05Z07:00"

local host_now, host_zone, host_load = sys.raw("time.now"), sys.raw("time.zone"), sys.raw("time.load")
local host_date, host_add_date, host_round = sys.raw("time.date"), sys.raw("time.add_date"), sys.raw("time.round")
local host_format, host_text, host_parse = sys.raw("time.format"), sys.raw("time.text"), sys.raw("time.parse")
local host_parse_duration, host_duration_text = sys.raw("time.parse_duration"), sys.raw("time.duration_text")
local host_sleep, host_after = sys.waiting("time.sleep"), sys.async("time.after")
local host_fire, host_tick = sys.async("time.fire"), sys.async("time.tick")

local weak = { __mode = "k" }
local times, durations, locations = setmetatable({}, weak), setmetatable({}, weak), setmetatable({}, weak)
local timers, tickers = setmetatable({}, weak), setmetatable({}, weak)
local T, D, L, TM, TK = {}, {}, {}, {}, {} -- methods
local instance, argument_error = sys.instance, sys.argument_error

local Time, Duration, Location
local function new_time(seconds, nanoseconds, location)
  local t = instance(Time, {})
  times[t] = { seconds, nanoseconds, location }
  return t
end
local function new_duration(ns)
  local d = instance(Duration, {})
  durations[d] = ns
  return d
end
local function new_location(code, name)
  local l = instance(Location, {})
  locations[l] = { code, name }
  return l
end

local UTC, LOCAL
local function location_of(code)
  if code == "" then return UTC end
  if code == "L" then return LOCAL end
  if sub(code, 1, 1) == "Z" then return new_location(code, sub(code, 2)) end
  return new_location(code, match(code, "^F[^:]*:(.*)$"))
end

Time = sys.class("time.Time", T, {
  meta = { __tostring = function(t)
    local v = times[t]
    return host_text(v[1], v[2], locations[v[3]][1])
  end },
  pack = function(t)
    local v = times[t]
    return { v[1], v[2], locations[v[3]][1] }
  end,
  unpack = function(v) return new_time(v[1], v[2], location_of(v[3])) end,
})
Duration = sys.class("time.Duration", D, {
  meta = { __tostring = function(d) return host_duration_text(durations[d]) end },
  pack = function(d) return durations[d] end,
  unpack = new_duration,
})
Location = sys.class("time.Location", L, {
  meta = { __tostring = function(l) return locations[l][2] end },
  pack = function(l) return locations[l][1] end,
  unpack = location_of,
})
local Timer = sys.class("time.Timer", TM, {})
local Ticker = sys.class("time.Ticker", TK, {})
UTC, LOCAL = new_location("", "UTC"), new_location("L", "Local")

-- arguments ------------------------------------------------------------------------------------------------------------
local function integer(v, index, name)
  if mathtype(v) == "integer" then return v end
  sys.check(v, "number", index, name)
  return tointeger(v >= 0 and floor(v) or ceil(v)) or (v > 0 and MAX or MIN)
end
local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", index, name)
end

-- Nanoseconds of a number, a text or a Duration; else nil and what is wrong.
local function nanoseconds(v)
  if mathtype(v) == "integer" then return v end
  local kind = type(v)
  if kind == "number" then
    return tointeger(v >= 0 and floor(v) or ceil(v)) or (v ~= v and 0) or (v > 0 and MAX or MIN)
  end
  if kind == "string" then
    local ns, problem = host_parse_duration(v)
    if ns then return ns end
    return nil, problem:message()
  end
  local ns = kind == "table" and durations[v]
  if ns then return ns end
  return nil, "duration must be number or string"
end
local function refused(name, problem) return nil, sys.error("Invalid", name .. ": " .. problem, false) end

-- Time ----------------------------------------------------------------------------------------------------------------
local function expect_time(t, name, index)
  return times[t] or error("bad argument #" .. (index or 1) .. " to " .. name .. " (time expected)", 3)
end
local function zone_at(v)
  local code = locations[v[3]][1]
  if code == "" then return 0 end
  local offset = v[4]
  if not offset then
    offset = host_zone(v[1], code)
    v[4] = offset
  end
  return offset
end
-- Days since 1970 and second of the day, in the time's own zone.
local function local_parts(v)
  local seconds = v[1] + zone_at(v)
  return seconds // DAY, seconds % DAY
end
local function civil(v)
  local days = local_parts(v) + 719468
  local era = days // 146097
  local of_era = days - era * 146097
  local year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local shifted = (5 * of_year + 2) // 153 -- months since March
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, of_year - (153 * shifted + 2) // 5 + 1
end
local function carried(seconds, ns, location) return new_time(seconds + ns // NS, ns % NS, location) end

function T.add(t, d)
  local v = expect_time(t, "add")
  local ns, problem = nanoseconds(d)
  if not ns then argument_error(2, "add", problem) end
  local whole = ns // NS
  return carried(v[1] + whole, v[2] + (ns - whole * NS), v[3])
end
function T.sub(t, other)
  local a, b = expect_time(t, "sub"), expect_time(other, "sub", 2)
  local seconds = a[1] - b[1]
  if abs(seconds) > 9223372036 then return new_duration(seconds > 0 and MAX or MIN) end
  local ns = seconds * NS + (a[2] - b[2])
  if seconds > 9000000000 and ns < 0 then ns = MAX elseif seconds < -9000000000 and ns > 0 then ns = MIN end
  return new_duration(ns)
end
function T.add_date(t, years, months, days)
  local v = expect_time(t, "add_date")
  local seconds, ns = host_add_date(v[1], v[2], locations[v[3]][1], integer(years, 2, "add_date"),
    integer(months, 3, "add_date"), integer(days, 4, "add_date"))
  if not seconds then error(ns, 2) end
  return new_time(seconds, ns, v[3])
end
function T.before(t, other)
  local a, b = expect_time(t, "before"), expect_time(other, "before", 2)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end
function T.after(t, other)
  local a, b = expect_time(t, "after"), expect_time(other, "after", 2)
  return a[1] > b[1] or (a[1] == b[1] and a[2] > b[2])
end
function T.equal(t, other)
  local a, b = expect_time(t, "equal"), expect_time(other, "equal", 2)
  return a[1] == b[1] and a[2] == b[2]
end
function T.format(t, layout)
  local v = expect_time(t, "format")
  return host_format(v[1], v[2], locations[v[3]][1], text(layout, 2, "format"))
end
function T.format_rfc3339(t)
  local v = expect_time(t, "format_rfc3339")
  return host_format(v[1], v[2], locations[v[3]][1], RFC3339)
end
function T.unix(t) return expect_time(t, "unix")[1] end
function T.unix_nano(t)
  local v = expect_time(t, "unix_nano")
  return v[1] * NS + v[2]
end
function T.date(t) return civil(expect_time(t, "date")) end
function T.clock(t)
  local _, s = local_parts(expect_time(t, "clock"))
  return s // 3600, s // 60 % 60, s % 60
end
function T.year(t) return (civil(expect_time(t, "year"))) end
function T.month(t)
  local _, month = civil(expect_time(t, "month"))
  return month
end
function T.day(t)
  local _, _, day = civil(expect_time(t, "day"))
  return day
end
function T.hour(t)
  local _, s = local_parts(expect_time(t, "hour"))
  return s // 3600
end
function T.minute(t)
  local _, s = local_parts(expect_time(t, "minute"))
  return s // 60 % 60
end
function T.second(t)
  local _, s = local_parts(expect_time(t, "second"))
  return s % 60
end
function T.nanosecond(t) return expect_time(t, "nanosecond")[2] end
function T.weekday(t) return (local_parts(expect_time(t, "weekday")) + 4) % 7 end
local BEFORE_MONTH = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 }
function T.year_day(t)
  local year, month, day = civil(expect_time(t, "year_day"))
  local leap = month > 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return BEFORE_MONTH[month] + day + (leap and 1 or 0)
end
function T.is_zero(t)
  local v = expect_time(t, "is_zero")
  return v[1] == ZERO_SECONDS and v[2] == 0
end
function T.utc(t)
  local v = expect_time(t, "utc")
  return new_time(v[1], v[2], UTC)
end
function T.in_local(t)
  local v = expect_time(t, "in_local")
  return new_time(v[1], v[2], LOCAL)
end
function T.in_location(t, location)
  local v = expect_time(t, "in_location")
  if not locations[location] then argument_error(2, "in_location", "location expected") end
  return new_time(v[1], v[2], location)
end
function T.location(t) return expect_time(t, "location")[3] end
local function rounding(name, nearest)
  return function(t, unit)
    local v = expect_time(t, name)
    local ns = durations[unit]
    if not ns then argument_error(2, name, "duration expected") end
    local seconds, rest = host_round(v[1], v[2], ns, nearest)
    return new_time(seconds, rest, v[3])
  end
end
T.round, T.truncate = rounding("round", true), rounding("truncate", false)

-- Duration and Location -----------------------------------------------------------------------------------------------
local function expect_duration(d, name)
  return durations[d] or error("bad argument #1 to " .. name .. " (duration expected)", 3)
end
local function truncated(ns, unit) return ns >= 0 and ns // unit or -(-ns // unit) end
function D.nanoseconds(d) return expect_duration(d, "nanoseconds") end
function D.microseconds(d) return truncated(expect_duration(d, "microseconds"), 1000) end
function D.milliseconds(d) return truncated(expect_duration(d, "milliseconds"), 1000000) end
local function measured(name, unit)
  return function(d)
    local ns = expect_duration(d, name)
    local whole = truncated(ns, unit)
    return whole + (ns - whole * unit) / unit
  end
end
D.seconds, D.minutes, D.hours = measured("seconds", NS), measured("minutes", 60 * NS), measured("hours", 3600 * NS)

function L.string(l)
  local v = locations[l]
  if not v then argument_error(1, "string", "location expected") end
  return v[2]
end

-- timers --------------------------------------------------------------------------------------------------------------
-- A timer is {channel, source, command}. `sys.cancel` tells whether the command was still waiting.
local function expect_timer(of, t, name, what)
  return of[t] or error("bad argument #1 to " .. name .. " (" .. what .. " expected)", 3)
end
function TM.response(t) return expect_timer(timers, t, "response", "Timer").channel end
function TM.stop(t)
  local v = expect_timer(timers, t, "stop", "Timer")
  if v.stopped then return false end
  local active = sys.cancel(v.command)
  v.stopped = true
  sys.drop_source(v.source)
  return active
end
function TM.reset(t, d)
  local v = expect_timer(timers, t, "reset", "Timer")
  local ns, problem = nanoseconds(d)
  if not ns then error("timer:reset: " .. problem, 2) end
  if ns <= 0 then error("timer:reset: duration must be > 0", 2) end
  if v.stopped or not sys.cancel(v.command) then return false end
  local _, command = host_fire(v.source, ns)
  v.command = command
  return true
end
function TK.response(t) return expect_timer(tickers, t, "response", "Ticker").channel end
function TK.stop(t)
  local v = expect_timer(tickers, t, "stop", "Ticker")
  if not v.stopped then
    v.stopped = true
    sys.cancel(v.command)
    sys.drop_source(v.source)
  end
  return true
end
TM.channel, TK.channel = TM.response, TK.response

local function positive(d, name)
  local ns, problem = nanoseconds(d)
  if not ns then return refused(name, problem) end
  if ns <= 0 then return refused(name, "duration must be > 0") end
  return ns
end
local function started(d, name, class, registry, start, capacity)
  local ns, problem = positive(d, name)
  if not ns then return nil, problem end
  local channel, source = sys.source(capacity)
  local _, command = start(source, ns)
  local t = instance(class, {})
  registry[t] = { channel = channel, source = source, command = command, stopped = false }
  return t
end

-- the module ----------------------------------------------------------------------------------------------------------
local function location_argument(index, name, ...)
  if select("#", ...) < index then return LOCAL end
  local location = (select(index, ...))
  if not locations[location] then argument_error(index, name, "location expected") end
  return location
end

local module = {
  now = function()
    local ns = host_now()
    return new_time(ns // NS, ns % NS, LOCAL)
  end,
  date = function(...)
    local year, month, day, hour, minute, second, ns = ...
    year, month, day = integer(year, 1, "date"), integer(month, 2, "date"), integer(day, 3, "date")
    hour, minute = integer(hour, 4, "date"), integer(minute, 5, "date")
    second, ns = integer(second, 6, "date"), integer(ns, 7, "date")
    local location = location_argument(8, "date", ...)
    local seconds, rest = host_date(year, month, day, hour, minute, second, ns, locations[location][1])
    if not seconds then error(rest, 2) end
    return new_time(seconds, rest, location)
  end,
  unix = function(seconds, ns) return carried(integer(seconds, 1, "unix"), integer(ns, 2, "unix"), LOCAL) end,
  parse = function(...)
    local layout, value = ...
    layout, value = text(layout, 1, "parse"), text(value, 2, "parse")
    local location = location_argument(3, "parse", ...)
    local given = locations[location][1]
    local seconds, ns, code = host_parse(layout, value, given)
    if not seconds then return nil, ns end
    return new_time(seconds, ns, code == given and location or location_of(code))
  end,
  parse_duration = function(v)
    local ns, problem = nanoseconds(v)
    if not ns then return refused("time.parse_duration", problem) end
    return new_duration(ns)
  end,
  load_location = function(name)
    name = text(name, 1, "load_location")
    if name == "" then return nil, sys.error("Invalid", "empty location name", false) end
    if name == "UTC" then return UTC end
    if name == "Local" then return LOCAL end
    local found, problem = host_load(name)
    if not found then return nil, problem end
    return new_location("Z" .. name, name)
  end,
  fixed_zone = function(name, offset)
    name, offset = text(name, 1, "fixed_zone"), integer(offset, 2, "fixed_zone")
    return new_location("F" .. offset .. ":" .. name, name)
  end,
  sleep = function(d)
    local ns, problem = nanoseconds(d)
    if not ns then return refused("time.sleep", problem) end
    host_sleep(ns)
  end,
  after = function(d)
    local ns, problem = positive(d, "time.after")
    if not ns then return nil, problem end
    return (host_after(ns))
  end,
  timer = function(d) return started(d, "time.timer", Timer, timers, host_fire, 1) end,
  ticker = function(d) return started(d, "time.ticker", Ticker, tickers, host_tick, 16) end,
  utc = UTC, localtz = LOCAL,
  NANOSECOND = 1, MICROSECOND = 1000, MILLISECOND = 1000000, SECOND = NS, MINUTE = 60 * NS, HOUR = 3600 * NS,
  RFC3339 = RFC3339, RFC3339NANO = "2006-01-02T15:04:05.999999999Z07:00",
  RFC822 = "02 Jan 06 15:04 MST", RFC822Z = "02 Jan 06 15:04 -0700", RFC850 = "Monday, 02-Jan-06 15:04:05 MST",
  RFC1123 = "Mon, 02 Jan 2006 15:04:05 MST", RFC1123Z = "Mon, 02 Jan 2006 15:04:05 -0700", KITCHEN = "3:04PM",
  STAMP = "Jan _2 15:04:05", STAMP_MILLI = "Jan _2 15:04:05.000", STAMP_MICRO = "Jan _2 15:04:05.000000",
  STAMP_NANO = "Jan _2 15:04:05.000000000", DATE_TIME = "2006-01-02 15:04:05", DATE_ONLY = "2006-01-02",
  TIME_ONLY = "15:04:05",
  SUNDAY = 0, MONDAY = 1, TUESDAY = 2, WEDNESDAY = 3, THURSDAY = 4, FRIDAY = 5, SATURDAY = 6,
  JANUARY = 1, FEBRUARY = 2, MARCH = 3, APRIL = 4, MAY = 5, JUNE = 6, JULY = 7, AUGUST = 8, SEPTEMBER = 9,
  OCTOBER = 10, NOVEMBER = 11, DECEMBER = 12,
}
return module
