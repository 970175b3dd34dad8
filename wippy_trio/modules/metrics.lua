-- The `metrics` module.
local sys = ...
local type, tostring, tonumber = type, tostring, tonumber
local counter_add, gauge_set = sys.immediate("metrics.counter_add"), sys.immediate("metrics.gauge_set")
local gauge_add, histogram = sys.immediate("metrics.gauge_add"), sys.immediate("metrics.histogram")

local function text(v, name)
  if type(v) == "number" then return tostring(v) end
  return sys.check(v, "string", 1, name)
end
local function number(v, name)
  if type(v) == "string" then v = tonumber(v) or v end
  return sys.check(v, "number", 2, name)
end

return {
  counter_inc = function(name, labels) return counter_add(text(name, "counter_inc"), 1, labels) end,
  counter_add = function(name, value, labels)
    return counter_add(text(name, "counter_add"), number(value, "counter_add"), labels)
  end,
  gauge_set = function(name, value, labels)
    return gauge_set(text(name, "gauge_set"), number(value, "gauge_set"), labels)
  end,
  gauge_inc = function(name, labels) return gauge_add(text(name, "gauge_inc"), 1, labels) end,
  gauge_dec = function(name, labels) return gauge_add(text(name, "gauge_dec"), -1, labels) end,
  histogram = function(name, value, labels)
    return histogram(text(name, "histogram"), number(value, "histogram"), labels)
  end,
}
