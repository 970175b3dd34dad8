-- The `stream` module: classes of the objects that http, http_client, exec and others hand out; no functions.
local sys = ...
local type, setmetatable, mathtype, tointeger = type, setmetatable, math.type, math.tointeger
local is, argument_error, check = sys.is, sys.argument_error, sys.check
local read, write, seek = sys.waiting("stream.read"), sys.waiting("stream.write"), sys.waiting("stream.seek")
local flush, stat, close = sys.waiting("stream.flush"), sys.waiting("stream.stat"), sys.waiting("stream.close")
local new_scanner, scan = sys.immediate("stream.scanner"), sys.waiting("stream.scan")
local tokens = setmetatable({}, { __mode = "k" }) -- scanner -> {text, error}

local stream_methods, scanner_methods = {}, {}
sys.class("stream.Stream", stream_methods, { handle = true })
sys.class("stream.Scanner", scanner_methods, { handle = true })

local function expect(v, class, name)
  if not is(v, class) then argument_error(1, name, class .. " expected") end
end
local function whole(v, index, name)
  if v == nil then return 0 end
  check(v, "number", index, name)
  if mathtype(v) == "integer" then return v end
  return tointeger(v >= 0 and v // 1 or -(-v // 1)) or 0
end

function stream_methods.read(self, size)
  expect(self, "stream.Stream", "read")
  return read(self, whole(size, 2, "read"))
end
function stream_methods.write(self, data)
  expect(self, "stream.Stream", "write")
  if type(data) == "number" then data = data .. "" end
  local count, err = write(self, check(data, "string", 2, "write"))
  if err then return 0, err end
  return count, nil
end
local WHENCE = { set = true, cur = true, ["end"] = true }
function stream_methods.seek(self, whence, offset)
  expect(self, "stream.Stream", "seek")
  whence = whence == nil and "set" or check(whence, "string", 2, "seek")
  if not WHENCE[whence] then argument_error(2, "seek", "invalid whence: must be 'set', 'cur', or 'end'") end
  local position, err = seek(self, whence, whole(offset, 3, "seek"))
  if err then return -1, err end
  return position, nil
end
function stream_methods.flush(self)
  expect(self, "stream.Stream", "flush")
  local ok, err = flush(self)
  return ok or false, err
end
function stream_methods.stat(self)
  expect(self, "stream.Stream", "stat")
  return stat(self)
end
function stream_methods.close(self)
  expect(self, "stream.Stream", "close")
  local ok, err = close(self)
  return ok or false, err
end
local SPLIT = { lines = true, words = true, bytes = true, runes = true }
function stream_methods.scanner(self, split)
  expect(self, "stream.Stream", "scanner")
  split = split == nil and "lines" or check(split, "string", 2, "scanner")
  if not SPLIT[split] then
    argument_error(2, "scanner", "invalid split type: must be 'lines', 'words', 'bytes', or 'runes'")
  end
  return new_scanner(self, split)
end

function scanner_methods.scan(self)
  expect(self, "stream.Scanner", "scan")
  local found, text, problem = scan(self)
  if found == nil then return false, text end -- text is the error
  if problem == "" then problem = nil end
  tokens[self] = { text, problem }
  if problem then return false, sys.error("Internal", problem, false) end
  return found, nil
end
function scanner_methods.text(self)
  expect(self, "stream.Scanner", "text")
  local token = tokens[self]
  return token and token[1] or ""
end
function scanner_methods.err(self)
  expect(self, "stream.Scanner", "err")
  local token = tokens[self]
  return token and token[2] or nil
end

return {}
