-- io: standard streams of a command. Not standard Lua's io.
local sys, K = ...
local select, concat = select, table.concat
local write, write_error, flush = sys.immediate("io.write"), sys.immediate("io.write_error"), sys.immediate("io.flush")
local args = sys.immediate("io.args")

local function joined(separator, ...)
  local n, parts = select("#", ...), {}
  for i = 1, n do parts[i] = K.tostring((select(i, ...))) end
  return concat(parts, separator)
end

return {
  write = function(...) return write(joined("", ...)) end,
  print = function(...) return write(joined("\t", ...) .. "\n") end,
  eprint = function(...) return write_error(joined("\t", ...) .. "\n") end,
  flush = function() return flush() end,
  args = function() return args() end,
  raw = function(enable)
    if enable == nil then enable = true end
    return sys.immediate("io.raw")(enable)
  end,
  read = sys.waiting("io.read"),
  readline = sys.waiting("io.readline"),
}
