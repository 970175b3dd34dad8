-- print(...): its arguments joined by one space, sent to the log.
local sys, K = ...
local select, concat, tostring = select, table.concat, tostring
local write = sys.raw("print.write")

return function(...)
  local n, parts = select("#", ...), {}
  for i = 1, n do parts[i] = K.tostring((select(i, ...))) end
  write(concat(parts, " "), K.where(2))
end
