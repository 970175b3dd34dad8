-- The `expr` module. A Program is the text it was compiled from: the host keeps what it compiled by that text.
local sys = ...
local setmetatable = setmetatable
local evaluate, compile, run = sys.immediate("expr.eval"), sys.immediate("expr.compile"), sys.immediate("expr.run")

local sources = setmetatable({}, { __mode = "k" }) -- program -> text
local methods = {}
local Program = sys.class("expr.Program", methods, {})

function methods.run(program, environment)
  local source = sources[program]
  if not source then sys.argument_error(1, "run", "expected expr.Program") end
  return run(source, environment)
end

local function checked(expression, name)
  sys.check(expression, "string", 1, name)
  if expression == "" then return sys.error("Invalid", "expression cannot be empty", false) end
end

return {
  eval = function(expression, environment)
    local problem = checked(expression, "eval")
    if problem then return nil, problem end
    return evaluate(expression, environment)
  end,
  compile = function(expression, environment)
    local problem = checked(expression, "compile")
    if problem then return nil, problem end
    local ok, failure = compile(expression, environment)
    if not ok then return nil, failure end
    local program = sys.instance(Program, {})
    sources[program] = expression
    return program, nil
  end,
}
