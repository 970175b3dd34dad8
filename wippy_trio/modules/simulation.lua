-- simulation: what app code may know of being simulated.
local sys = ...
local type, M = type, {}
local strike = sys.raw("simulation.strike")

M.active = sys.raw("simulation.active")
-- True now and then in a simulation, by the seed; always false in a live node.
function M.buggify(label)
  if type(label) ~= "string" or label == "" then
    sys.argument_error(1, "buggify", "non-empty string expected")
  end
  return strike(label)
end
return M
