-- size: one chunk per module, and builders, databases and values share one table of secrets.
-- The `sql` module. What an object is lives in `values`, out of its holder's reach: a database whose id could be
-- overwritten would be any database. Builders are chains of calls, sent to the host when their text is wanted.
local sys, K = ...
local type, next, select, setmetatable, getmetatable = type, next, select, setmetatable, getmetatable
local mathtype, tointeger, huge, error = math.type, math.tointeger, math.huge, error
local number_text, is, argument_error, sys_error = K.tostring, sys.is, sys.argument_error, sys.error
local values = setmetatable({}, { __mode = "k" }) -- object -> what it is
local ended = setmetatable({}, { __mode = "k" }) -- statements and transactions that are over

local function invalid(message) return nil, sys_error("Invalid", message, false) end
local function text(v, index, name)
  if type(v) == "number" then return number_text(v) end
  return sys.check(v, "string", index, name)
end
local function expect(v, class, index, name, what)
  if not is(v, class) then argument_error(index, name, what) end
  return v
end
local function plain_table(v) return type(v) == "table" and getmetatable(v) ~= false end -- no object
local function type_name(v) return type(v) == "table" and not plain_table(v) and "userdata" or type(v) end
local function integer(v, index, name)
  sys.check(v, "number", index, name)
  if mathtype(v) == "integer" then return v end
  if v ~= v then argument_error(index, name, "number has no integer representation") end
  return tointeger(v >= 0 and v // 1 or -(-v // 1)) or (v > 0 and math.maxinteger or math.mininteger)
end

-- values to be bound: scalars as they are, anything else tagged (see storage/sql_builder_described.py) ----------------
local NULL_TAG = { "null" }
local Value = sys.class("sql.Value", {}, {})
local function new_value(encoded)
  local object = sys.instance(Value, {})
  values[object] = encoded
  return object
end
local NULL = new_value(NULL_TAG)

local function scalar(v)
  local t = type(v)
  if t == "string" or t == "number" or t == "boolean" then return v end
  return NULL_TAG
end
local function typed(v) -- honours sql.NULL and sql.as
  if is(v, "sql.Value") then return values[v] end
  return scalar(v)
end
local function each(convert, ...)
  local n, out = select("#", ...), { ... }
  for i = 1, n do out[i] = convert(out[i]) end
  return out
end
local function row(t) -- column -> value
  local out = {}
  for k, v in next, t do
    if type(k) == "string" then out[k] = typed(v) end
  end
  return out
end
-- Parameters up to the largest integer key; holes are null. Returns nil and an error for what is no table.
local function parameters(v)
  if v == nil then return {} end
  if not plain_table(v) then
    return invalid("check params: parameters must be a table, got " .. type_name(v))
  end
  local top = 0
  for k in next, v do
    if mathtype(k) == "integer" and k > top then top = k end
  end
  if top > 32766 then return invalid("check params: more than 32766 parameters") end -- SQLite's own limit
  local out = {}
  for i = 1, top do out[i] = typed(v[i]) end
  return out
end

local as = {
  int = function(v)
    if type(v) ~= "number" then return new_value(0) end
    if mathtype(v) == "integer" then return new_value(v) end
    if v ~= v or v == huge or v == -huge then return new_value(math.mininteger) end
    return new_value(integer(v, 1, "int"))
  end,
  float = function(v) return new_value(type(v) == "number" and v + 0.0 or 0.0) end,
  text = function(v)
    if type(v) == "number" then return new_value(number_text(v)) end
    return new_value(type(v) == "string" and v or "")
  end,
  binary = function(v) return new_value(type(v) == "string" and { "bytes", v } or NULL_TAG) end,
  null = function() return NULL end,
}

-- databases, transactions, statements ---------------------------------------------------------------------------------
local db, tx, stmt = {}, {}, {}
local DB = sys.class("sql.DB", db, {})
sys.class("sql.Transaction", tx, { handle = true })
sys.class("sql.Statement", stmt, { handle = true })
local get, stats, begin = sys.immediate("sql.get"), sys.immediate("sql.stats"), sys.waiting("sql.begin")
local query, execute, prepare = sys.waiting("sql.query"), sys.waiting("sql.execute"), sys.waiting("sql.prepare")
local end_tx, savepoint = sys.waiting("sql.tx.end"), sys.waiting("sql.tx.savepoint")
local stmt_query, stmt_execute = sys.waiting("sql.stmt.query"), sys.waiting("sql.stmt.execute")
local stmt_close, tx_dialect = sys.waiting("sql.stmt.close"), sys.immediate("sql.tx.dialect")

local function database(self, name) return values[expect(self, "sql.DB", 1, name, "database expected")] end

local function get_database(id)
  id = text(id, 1, "get")
  if id == "" then return invalid("resource id is required") end
  local dialect, err = get(id)
  if not dialect then return nil, err end
  local object = sys.instance(DB, {})
  values[object] = { id = id, dialect = dialect }
  return object, nil
end

function db.type(self) return database(self, "type").dialect, nil end
function db.query(self, sql, params)
  local id = database(self, "query").id
  sql = text(sql, 2, "query")
  local list, err = parameters(params)
  if not list then return nil, err end
  return query(id, sql, list)
end
function db.execute(self, sql, params)
  local id = database(self, "execute").id
  sql = text(sql, 2, "execute")
  local list, err = parameters(params)
  if not list then return nil, err end
  return execute(id, sql, list)
end
function db.prepare(self, sql) return prepare(database(self, "prepare").id, text(sql, 2, "prepare")) end
function db.begin(self, options)
  local id = database(self, "begin").id
  local isolation, read_only = "default", false
  if plain_table(options) then
    if type(options.isolation) == "string" then isolation = options.isolation end
    if type(options.read_only) == "boolean" then read_only = options.read_only end
  end
  return begin(id, isolation, read_only)
end
function db.stats(self) return stats(database(self, "stats").id) end
function db.release(self) -- nothing is held: the database is looked up by each operation
  database(self, "release")
  return true, nil
end

local function active(self, name)
  expect(self, "sql.Transaction", 1, name, "transaction expected")
  return not ended[self]
end
local function inactive() return invalid("transaction is not active") end
function tx.db_type(self)
  if not active(self, "db_type") then return inactive() end
  return tx_dialect(self)
end
function tx.query(self, sql, params)
  if not active(self, "query") then return inactive() end
  sql = text(sql, 2, "query")
  local list, err = parameters(params)
  if not list then return nil, err end
  return query(self, sql, list)
end
function tx.execute(self, sql, params)
  if not active(self, "execute") then return inactive() end
  sql = text(sql, 2, "execute")
  local list, err = parameters(params)
  if not list then return nil, err end
  return execute(self, sql, list)
end
function tx.prepare(self, sql)
  if not active(self, "prepare") then return inactive() end
  return prepare(self, text(sql, 2, "prepare"))
end
local function ending(name, commit)
  return function(self)
    if not active(self, name) then return inactive() end
    ended[self] = true -- also when it fails
    return end_tx(self, commit)
  end
end
tx.commit, tx.rollback = ending("commit", true), ending("rollback", false)
local function savepoint_method(verb)
  return function(self, name)
    if not active(self, verb) then return inactive() end
    name = text(name, 2, verb)
    if name == "" then return invalid("savepoint name is required") end
    if name:find("[^%w_]") then
      return invalid("savepoint name can only contain alphanumeric characters and underscores")
    end
    return savepoint(self, verb, name)
  end
end
tx.savepoint, tx.rollback_to = savepoint_method("savepoint"), savepoint_method("rollback_to")
tx.release = savepoint_method("release")

local function running(name, operation)
  return function(self, params)
    expect(self, "sql.Statement", 1, name, "statement expected")
    if ended[self] then return invalid("statement is closed") end
    local list, err = parameters(params)
    if not list then return nil, err end
    return operation(self, list)
  end
end
stmt.query, stmt.execute = running("query", stmt_query), running("execute", stmt_execute)
function stmt.close(self)
  expect(self, "sql.Statement", 1, "close", "statement expected")
  if ended[self] then return invalid("statement is already closed") end
  ended[self] = true
  return stmt_close(self)
end

-- conditions ----------------------------------------------------------------------------------------------------------
local build, describe, bind = sys.immediate("sql.build"), sys.immediate("sql.describe"), sys.immediate("sql.bind")
local run_query, run_execute = sys.waiting("sql.run_query"), sys.waiting("sql.run_execute")
local sqlizer = {}
local Sqlizer = sys.class("sql.Sqlizer", sqlizer, {
  meta = {
    __tostring = function(self) return (describe("condition", values[self], "SQL", "SQL Expression Error")) end,
  },
})
local function new_sqlizer(described)
  local object = sys.instance(Sqlizer, {})
  values[object] = described
  return object
end
function sqlizer.to_sql(self)
  return build("condition", values[expect(self, "sql.Sqlizer", 1, "to_sql", "expected Sqlizer")])
end

local function comparison(operator)
  return function(...)
    local t = ...
    if select("#", ...) ~= 1 or not plain_table(t) then argument_error(1, operator, "expected table") end
    return new_sqlizer({ operator, row(t) })
  end
end
local function conjunction(word, name, label)
  return function(...)
    local list = ...
    if select("#", ...) ~= 1 or not plain_table(list) then argument_error(1, name, "expected table") end
    local parts, seen = {}, #list
    local function add(v)
      if is(v, "sql.Sqlizer") then
        parts[#parts + 1] = values[v]
      elseif plain_table(v) then
        parts[#parts + 1] = { "eq", row(v) }
      else
        error("expected Sqlizer or table in " .. label .. " condition, got " .. type_name(v), 3)
      end
    end
    for i = 1, seen do add(list[i]) end
    for k, v in next, list do
      if mathtype(k) ~= "integer" or k < 1 or k > seen then add(v) end
    end
    return new_sqlizer({ word, parts })
  end
end
local function condition(name, cond, ...)
  if type(cond) == "string" then return { "expr", cond, each(scalar, ...) } end
  if is(cond, "sql.Sqlizer") then return values[cond] end
  if plain_table(cond) then return { "eq", row(cond) } end
  return argument_error(2, name, "expected string, table, or Sqlizer")
end

-- builders ------------------------------------------------------------------------------------------------------------
-- A builder is {kind, node}; a node is {previous node, call}. `calls` puts the calls in order.
local kinds = {} -- kind -> {class, name}
local function new_builder(kind, node)
  local object = sys.instance(kinds[kind].class, {})
  values[object] = { kind, node }
  return object
end
local function calls(node)
  local n, at = 0, node
  while at do n, at = n + 1, at[1] end
  local out = {}
  at = node
  for i = n, 1, -1 do out[i], at = at[2], at[1] end
  return out
end
local function builder(kind, self, name)
  local known = kinds[kind]
  return values[expect(self, known.name, 1, name, "expected " .. known.label .. " object")]
end

local Placeholder = sys.class("sql.Placeholder", {}, {})
local function new_placeholder(style)
  local object = sys.instance(Placeholder, {})
  values[object] = style
  return object
end
local executor = {}
local Executor = sys.class("sql.QueryExecutor", executor, {
  meta = {
    __tostring = function(self)
      local e = values[self]
      return "QueryExecutor: " .. e.text .. " [Args: " .. #e.args .. "]"
    end,
  },
})
local function bound(self, name) return values[expect(self, "sql.QueryExecutor", 1, name, "expected QueryExecutor object")] end
function executor.query(self)
  local e = bound(self, "query")
  return run_query(e.target, e.kind, e.calls)
end
function executor.exec(self)
  local e = bound(self, "exec")
  return run_execute(e.target, e.kind, e.calls)
end
function executor.to_sql(self)
  local e = bound(self, "to_sql")
  return e.text, sys.copy(e.args)
end

-- How the arguments of each method are read; the result is what is sent after the method's name.
local function names(name, ...)
  local n, out = select("#", ...), { ... }
  for i = 1, n do out[i] = text(out[i], i + 1, name) end
  return out
end
local function one_text(name, v) return text(v, 2, name) end
local function count(name, v) return integer(v, 2, name) end
local function fragment(name, v, ...) return text(v, 2, name), each(scalar, ...) end
local function select_calls(name, q)
  return calls(values[expect(q, "sql.SelectBuilder", 2, name, "expected SelectBuilder object")][2])
end
local function assignment(name, column, v)
  column = text(column, 2, name)
  if is(v, "sql.Sqlizer") then return column, { "condition", values[v] } end
  if type(v) == "table" and not plain_table(v) and not is(v, "sql.Value") then
    argument_error(3, name, "invalid userdata")
  end
  return column, typed(v)
end
local function style(name, v) return values[expect(v, "sql.Placeholder", 2, name, "expected placeholder format")] end
local function row_table(name, v)
  if not plain_table(v) then argument_error(2, name, "table expected, got " .. (v == nil and "nil" or type_name(v))) end
  return row(v)
end
local common = { suffix = fragment, placeholder_format = style }
local window = { where = condition, order_by = names, limit = count, offset = count }
local readers = {
  select = {
    from = one_text, join = fragment, left_join = fragment, right_join = fragment, inner_join = fragment,
    group_by = names, having = condition, columns = names, distinct = function() end,
  },
  insert = {
    into = one_text, columns = names, values = function(_, ...) return each(typed, ...) end, set_map = row_table,
    select = select_calls, prefix = fragment, options = names,
  },
  update = {
    table = one_text, set = assignment, set_map = row_table, from = one_text,
    from_select = function(name, q, alias) return select_calls(name, q), text(alias, 3, name) end,
  },
  delete = { from = one_text },
}

local function define(kind, name)
  local methods = {}
  local function method(called, read)
    methods[called] = function(self, ...)
      local known = builder(kind, self, called)
      return new_builder(kind, { known[2], { called, read(called, ...) } })
    end
  end
  local parts = { readers[kind], common, kind ~= "insert" and window or {} }
  for i = 1, #parts do
    for called, read in next, parts[i] do method(called, read) end
  end
  function methods.to_sql(self) return build(kind, calls(builder(kind, self, "to_sql")[2])) end
  function methods.run_with(self, target)
    local known = builder(kind, self, "run_with")
    local to = target
    if is(target, "sql.DB") then
      to = values[target].id
    elseif not is(target, "sql.Transaction") then
      argument_error(2, "run_with", "database or transaction expected")
    end
    local list = calls(known[2])
    local sql, args = bind(to, kind, list)
    if not sql then return nil, args end
    local object = sys.instance(Executor, {})
    values[object] = { target = to, kind = kind, calls = list, text = sql, args = args }
    return object
  end
  local label = name:match("%.(.*)$")
  local function shown(self) return (describe(kind, calls(values[self][2]), label, label .. " Error")) end
  kinds[kind] = { name = name, label = label, class = sys.class(name, methods, { meta = { __tostring = shown } }) }
end
define("select", "sql.SelectBuilder")
define("insert", "sql.InsertBuilder")
define("update", "sql.UpdateBuilder")
define("delete", "sql.DeleteBuilder")

local function of_table(kind, first)
  return function(...)
    if select("#", ...) == 0 then return new_builder(kind, nil) end
    return new_builder(kind, { nil, { first, text((...), 1, kind) } })
  end
end
local question = new_placeholder("question")

return {
  get = get_database,
  NULL = NULL,
  as = as,
  type = { POSTGRES = "postgres", MYSQL = "mysql", SQLITE = "sqlite", UNKNOWN = "unknown" },
  isolation = {
    DEFAULT = "default", READ_UNCOMMITTED = "read_uncommitted", READ_COMMITTED = "read_committed",
    WRITE_COMMITTED = "write_committed", REPEATABLE_READ = "repeatable_read", SERIALIZABLE = "serializable",
  },
  builder = {
    select = function(...)
      for i = 1, select("#", ...) do
        if type((select(i, ...))) ~= "string" then argument_error(i, "select", "expected string column name") end
      end
      return new_builder("select", { nil, { "columns", { ... } } })
    end,
    insert = of_table("insert", "into"),
    update = of_table("update", "table"),
    delete = of_table("delete", "from"),
    expr = function(...)
      local sql = ...
      if type(sql) ~= "string" then argument_error(1, "expr", "expected string") end
      return new_sqlizer({ "expr", sql, each(typed, select(2, ...)) })
    end,
    eq = comparison("eq"), not_eq = comparison("not_eq"), lt = comparison("lt"), lte = comparison("lte"),
    gt = comparison("gt"), gte = comparison("gte"), like = comparison("like"), not_like = comparison("not_like"),
    and_ = conjunction("and", "and_", "AND"), or_ = conjunction("or", "or_", "OR"),
    question = question, default_placeholder = question,
    dollar = new_placeholder("dollar"), at = new_placeholder("at"), colon = new_placeholder("colon"),
  },
}
