-- The `http` module. A Request knows what does not change during a call; a Response knows whether its headers have
-- been sent as far as it is concerned (every http.response() begins anew, as in the reference).
local sys = ...
local type, next, setmetatable, tostring = type, next, setmetatable, tostring
local mathtype, tointeger, sub, concat = math.type, math.tointeger, string.sub, table.concat
local is, argument_error, check, sys_error = sys.is, sys.argument_error, sys.check, sys.error
local present, facts_of, query_of = sys.raw("http.present"), sys.immediate("http.facts"), sys.immediate("http.query")
local header_of, accepts, params_of = sys.immediate("http.header"), sys.immediate("http.accepts"), sys.immediate("http.params")
local body_of, json_of, stream_of = sys.waiting("http.body"), sys.waiting("http.body_json"), sys.immediate("http.stream")
local form_of, file_of = sys.waiting("http.form"), sys.immediate("http.file")
local set_status, set_header = sys.immediate("http.set_status"), sys.raw("http.set_header")
local write_now, write_json_now = sys.immediate("http.write_now"), sys.immediate("http.write_json_now")
local write_pending, flush, write_event = sys.waiting("http.write_pending"), sys.waiting("http.flush"), sys.waiting("http.write_event")

local TIMEOUT_MS, MAX_BODY, MAX_MEMORY = 300000, 125829120, 33554432
local values = setmetatable({}, { __mode = "k" }) -- request, response, file -> what it is
local request_methods, response_methods, file_methods = {}, {}, {}

local function whole(v)
  if mathtype(v) == "integer" then return v end
  return tointeger(v >= 0 and v // 1 or -(-v // 1)) or 0
end
local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return check(v, "string", index, name)
end
local function own(self, class, name)
  if not is(self, class) then argument_error(1, name, class .. " expected") end
  return values[self]
end

-- request -----------------------------------------------------------------------------------------------------------
local Request = sys.class("http.Request", request_methods, { meta = {
  __tostring = function(self)
    local facts = values[self]
    return "http.Request{method=" .. facts.method .. ", path=" .. facts.path .. "}"
  end,
} })
local function getter(name)
  request_methods[name] = function(self) return own(self, "http.Request", name)[name], nil end
end
for _, name in next, { "method", "path", "host", "remote_addr", "content_type", "content_length" } do getter(name) end

local function query(facts)
  local found = facts.query
  if not found then
    found = query_of()
    facts.query = found
  end
  return found
end
function request_methods.query(self, key)
  local list = query(own(self, "http.Request", "query"))[text(key, 2, "query")]
  return list and list[1] or nil, nil
end
function request_methods.query_params(self)
  local all = {}
  for key, list in next, query(own(self, "http.Request", "query_params")) do all[key] = concat(list, ",") end
  return all, nil
end
function request_methods.header(self, name)
  own(self, "http.Request", "header")
  return header_of(text(name, 2, "header")), nil
end
function request_methods.has_body(self) return own(self, "http.Request", "has_body").content_length > 0, nil end
function request_methods.is_content_type(self, prefix)
  local facts = own(self, "http.Request", "is_content_type")
  prefix = text(prefix, 2, "is_content_type")
  return sub(facts.content_type or "", 1, #prefix) == prefix, nil
end
function request_methods.accepts(self, kind)
  own(self, "http.Request", "accepts")
  return accepts(text(kind, 2, "accepts")), nil
end
local function params(facts)
  if not facts.params then
    local found, err = params_of()
    if err then return nil, err end
    facts.params = found
  end
  return facts.params
end
function request_methods.param(self, name)
  local facts = own(self, "http.Request", "param")
  name = text(name, 2, "param")
  local all, err = params(facts)
  if err then return nil, err end
  return all[name], nil
end
function request_methods.params(self)
  local all, err = params(own(self, "http.Request", "params"))
  if err then return nil, err end
  return sys.copy(all), nil
end
function request_methods.body(self)
  local facts = own(self, "http.Request", "body")
  if facts.content_length == 0 then return "", nil end
  return body_of(facts.timeout, facts.max_body)
end
function request_methods.body_json(self)
  local facts = own(self, "http.Request", "body_json")
  return json_of(facts.timeout, facts.max_body)
end
function request_methods.stream(self)
  own(self, "http.Request", "stream")
  return stream_of()
end

local File = sys.class("http.MultipartFile", file_methods, { meta = {
  __tostring = function(self)
    local file = values[self]
    return "http.MultipartFile{name=" .. file.name .. ", size=" .. file.size .. "}"
  end,
} })
function file_methods.name(self) return own(self, "http.MultipartFile", "name").name, nil end
function file_methods.size(self) return own(self, "http.MultipartFile", "size").size, nil end
function file_methods.header(self, name)
  local file = own(self, "http.MultipartFile", "header")
  name = text(name, 2, "header"):lower()
  for known, value in next, file.headers do
    if known:lower() == name then return value end
  end
  return nil
end
function file_methods.stream(self)
  local file = own(self, "http.MultipartFile", "stream")
  return file_of(file.field, file.index)
end
function request_methods.parse_multipart(self, max_memory)
  local facts = own(self, "http.Request", "parse_multipart")
  -- The reference writes to disk what exceeds max_memory; here everything stays in memory, so the body limit counts.
  max_memory = max_memory == nil and MAX_MEMORY or whole(check(max_memory, "number", 2, "parse_multipart"))
  local form_values, found = form_of(max_memory > facts.max_body and max_memory or facts.max_body)
  if form_values == nil then return nil, found end -- found is the error
  local files = {}
  for field, list in next, found do
    local own_files = {}
    for index = 1, #list do
      local file, told = sys.instance(File, {}), list[index]
      told.field, told.index = field, index
      values[file] = told
      own_files[index] = file
    end
    files[field] = own_files
  end
  return { values = form_values, files = files }, nil
end

-- response ----------------------------------------------------------------------------------------------------------
local Response = sys.class("http.Response", response_methods, { meta = {
  __tostring = function() return "http.Response{}" end,
} })
local function too_late(what) return sys_error("Invalid", what .. " after headers are sent", false) end
local function sent(err)
  if err then return err end
  return nil
end

function response_methods.set_status(self, code)
  local own_state = own(self, "http.Response", "set_status")
  if own_state.sent then return too_late("cannot set status") end
  local _, err = set_status(whole(check(code, "number", 2, "set_status")))
  if err then return err end
  own_state.sent = true
  return nil
end
function response_methods.set_header(self, name, value)
  local own_state = own(self, "http.Response", "set_header")
  if own_state.sent then return sys_error("Invalid", "cannot set headers after they are sent", false) end
  set_header(text(name, 2, "set_header"), text(value, 3, "set_header"))
  return nil
end
function response_methods.set_content_type(self, kind)
  local own_state = own(self, "http.Response", "set_content_type")
  if own_state.sent then return too_late("cannot set content type") end
  set_header("Content-Type", text(kind, 2, "set_content_type"), false)
  return nil
end
local function written(own_state, done, err)
  if done == false then done, err = write_pending() end
  if err then return err end
  own_state.sent = true
  return nil
end
function response_methods.write(self, data)
  local own_state = own(self, "http.Response", "write")
  return written(own_state, write_now(text(data, 2, "write")))
end
function response_methods.write_json(self, value)
  local own_state = own(self, "http.Response", "write_json")
  return written(own_state, write_json_now(not own_state.sent, value))
end
function response_methods.flush(self)
  local own_state = own(self, "http.Response", "flush")
  local _, err = flush()
  own_state.sent = true
  return sent(err)
end
local function event_stream(own_state)
  set_header("Content-Type", "text/event-stream", false)
  set_header("Cache-Control", "no-cache", false)
  set_header("Connection", "keep-alive", false)
  own_state.mode = "sse"
end
function response_methods.set_transfer(self, mode)
  local own_state = own(self, "http.Response", "set_transfer")
  if own_state.sent then return too_late("cannot set transfer mode") end
  mode = text(mode, 2, "set_transfer")
  if mode == "chunked" then
    set_header("Transfer-Encoding", "chunked", false)
    set_header("Cache-Control", "no-cache", false)
    own_state.mode = "chunked"
  elseif mode == "sse" then
    event_stream(own_state)
  else
    argument_error(2, "set_transfer", "invalid transfer type")
  end
  return nil
end
function response_methods.write_event(self, event)
  local own_state = own(self, "http.Response", "write_event")
  if own_state.mode ~= "sse" then
    if own_state.sent then return too_late("cannot switch to SSE mode") end
    event_stream(own_state)
  end
  check(event, "table", 2, "write_event")
  local name, data = event.name, event.data
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" or name == "" then argument_error(2, "write_event", "missing event name") end
  if data == nil then argument_error(2, "write_event", "missing event data") end
  local _, err = write_event(name, data)
  if err then return err end
  own_state.sent = true
  return nil
end

-- module ------------------------------------------------------------------------------------------------------------
local function no_context() return nil, sys_error("Internal", "no HTTP request context found", false) end
local function limit(options, key, default)
  local value = options and options[key]
  if type(value) ~= "number" then return default end
  value = whole(value)
  return value > 0 and value or default
end

return {
  request = function(options)
    if options ~= nil then check(options, "table", 1, "request") end
    if not present() then return no_context() end
    local facts = {}
    facts.method, facts.path, facts.host, facts.remote_addr, facts.content_type, facts.content_length = facts_of()
    facts.timeout = limit(options, "timeout", TIMEOUT_MS)
    facts.max_body = limit(options, "max_body", MAX_BODY)
    local request = sys.instance(Request, {})
    values[request] = facts
    return request, nil
  end,
  response = function()
    if not present() then return no_context() end
    local response = sys.instance(Response, {})
    values[response] = { sent = false, mode = "" }
    return response, nil
  end,
  METHOD = {
    GET = "GET", POST = "POST", PUT = "PUT", DELETE = "DELETE", PATCH = "PATCH", HEAD = "HEAD", OPTIONS = "OPTIONS",
  },
  STATUS = {
    OK = 200, CREATED = 201, ACCEPTED = 202, NO_CONTENT = 204, PARTIAL_CONTENT = 206, MOVED_PERMANENTLY = 301,
    FOUND = 302, SEE_OTHER = 303, NOT_MODIFIED = 304, TEMPORARY_REDIRECT = 307, PERMANENT_REDIRECT = 308,
    BAD_REQUEST = 400, UNAUTHORIZED = 401, PAYMENT_REQUIRED = 402, FORBIDDEN = 403, NOT_FOUND = 404,
    METHOD_NOT_ALLOWED = 405, NOT_ACCEPTABLE = 406, CONFLICT = 409, GONE = 410, UNPROCESSABLE = 422,
    TOO_MANY_REQUESTS = 429, INTERNAL_ERROR = 500, INTERNAL_SERVER_ERROR = 500, NOT_IMPLEMENTED = 501,
    BAD_GATEWAY = 502, SERVICE_UNAVAILABLE = 503, GATEWAY_TIMEOUT = 504, VERSION_NOT_SUPPORTED = 505,
  },
  CONTENT = {
    JSON = "application/json", FORM = "application/x-www-form-urlencoded", MULTIPART = "multipart/form-data",
    TEXT = "text/plain", STREAM = "application/octet-stream",
  },
  TRANSFER = { CHUNKED = "chunked", SSE = "sse" },
  ERROR = {
    PARSE_FAILED = "PARSE_FAILED", INVALID_STATE = "INVALID_STATE", WRITE_FAILED = "WRITE_FAILED",
    STREAM_ERROR = "STREAM_ERROR",
  },
}
