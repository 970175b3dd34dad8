-- The `fs` module. A volume object is its id and working directory; both live in `volumes`, out of its holder's reach.
local sys, K = ...
local type, setmetatable, getmetatable = type, setmetatable, getmetatable
local mathtype, tointeger, concat = math.type, math.tointeger, table.concat
local number_text, is, argument_error, sys_error = K.tostring, sys.is, sys.argument_error, sys.error
local volumes = setmetatable({}, { __mode = "k" }) -- volume -> {id, working directory}
local closed = setmetatable({}, { __mode = "k" }) -- files given back
local scans = setmetatable({}, { __mode = "k" }) -- scanner -> its tokens

local get, read, write = sys.immediate("fs.get"), sys.waiting("fs.read"), sys.waiting("fs.write")
local stat, exists, list, enter = sys.waiting("fs.stat"), sys.waiting("fs.exists"), sys.waiting("fs.list"), sys.waiting("fs.enter")
local mkdir, remove, open = sys.waiting("fs.mkdir"), sys.waiting("fs.remove"), sys.waiting("fs.open")
local file_read, file_write, file_seek = sys.waiting("fs.file.read"), sys.waiting("fs.file.write"), sys.waiting("fs.file.seek")
local file_stat, file_sync, file_close = sys.waiting("fs.file.stat"), sys.waiting("fs.file.sync"), sys.waiting("fs.file.close")
local file_scanner, scanner_next = sys.immediate("fs.file.scanner"), sys.waiting("fs.scanner.next")

local function invalid(first, message) return first, sys_error("Invalid", message) end
local function text(v, index, name)
  if type(v) == "number" then return number_text(v) end
  return sys.check(v, "string", index, name)
end
local function integer(v, index, name)
  sys.check(v, "number", index, name)
  return tointeger(v) or tointeger(v >= 0 and v // 1 or -(-v // 1)) or argument_error(index, name, "number has no integer representation")
end
-- Results of an operation whose failure is `false, err`.
local function or_false(value, err)
  if err ~= nil then return false, err end
  return value, nil
end

-- files ---------------------------------------------------------------------------------------------------------------
local file, scanner = {}, {}
sys.class("fs.File", file, {
  handle = true,
  meta = { __tostring = function(self) return closed[self] and "fs.File{closed}" or "fs.File{}" end },
})
sys.class("fs.Tokens", {}, { handle = true })
local Scanner = sys.class("fs.Scanner", scanner, {})
local function expect_file(self, name)
  if not is(self, "fs.File") then argument_error(1, name, "file expected") end
  return not closed[self]
end
local function already_closed(first, what) return invalid(first, what .. " failed: file already closed") end

function file.read(self, size)
  local open_still = expect_file(self, "read")
  size = size == nil and 4096 or integer(size, 2, "read")
  if size <= 0 then return invalid(nil, "size must be positive") end
  if not open_still then return already_closed(nil, "read") end
  return file_read(self, size)
end
function file.write(self, data)
  local open_still = expect_file(self, "write")
  data = text(data, 2, "write")
  if data == "" then return invalid(false, "data required") end
  if not open_still then return already_closed(false, "write") end
  return or_false(file_write(self, data))
end
function file.seek(self, whence, offset)
  local open_still = expect_file(self, "seek")
  whence, offset = text(whence, 2, "seek"), integer(offset, 3, "seek")
  if whence ~= "set" and whence ~= "cur" and whence ~= "end" then
    return invalid(nil, "invalid whence: must be 'set', 'cur', or 'end'")
  end
  if not open_still then return already_closed(nil, "seek") end
  return file_seek(self, whence, offset)
end
function file.stat(self)
  if not expect_file(self, "stat") then return already_closed(nil, "stat") end
  return file_stat(self)
end
function file.sync(self)
  if not expect_file(self, "sync") then return already_closed(false, "sync") end
  return or_false(file_sync(self))
end
function file.close(self)
  if not expect_file(self, "close") then return true, nil end
  closed[self] = true
  return or_false(file_close(self))
end
function file.scanner(self, split)
  local open_still = expect_file(self, "scanner")
  if not open_still then return invalid(nil, "file is closed") end
  split = split == nil and "lines" or text(split, 2, "scanner")
  if split ~= "lines" and split ~= "words" and split ~= "bytes" and split ~= "runes" then
    return invalid(nil, "invalid split type: must be 'lines', 'words', 'bytes', or 'runes'")
  end
  local tokens, err = file_scanner(self, split)
  if not tokens then return nil, err end
  local object = sys.instance(Scanner, {})
  scans[object] = { source = tokens, tokens = {}, at = 0, text = "" }
  return object, nil
end

-- Tokens come in batches, so that not each of them needs an operation.
local function scan_of(self, name)
  if not is(self, "fs.Scanner") then argument_error(1, name, "Scanner expected") end
  return scans[self]
end
function scanner.scan(self)
  local s = scan_of(self, "scan")
  if s.over then return false end
  local at = s.at + 1
  if s.tokens[at] == nil then
    local tokens, err = scanner_next(s.source)
    if tokens == nil or tokens[1] == nil then
      s.over, s.err, s.text, s.tokens = true, err, "", {}
      return false
    end
    s.tokens, at = tokens, 1
  end
  s.at, s.text = at, s.tokens[at]
  return true
end
function scanner.text(self) return scan_of(self, "text").text end
function scanner.err(self) return scan_of(self, "err").err end

-- volumes -------------------------------------------------------------------------------------------------------------
local fs = {}
local Volume = sys.class("fs.FS", fs, {
  meta = { __tostring = function(self) return "fs.FS{cwd=" .. volumes[self].cwd .. "}" end },
})
local function volume(self, name)
  if not is(self, "fs.FS") then argument_error(1, name, "filesystem expected") end
  return volumes[self]
end
local no_path = "path required"

function fs.chdir(self, path)
  local v = volume(self, "chdir")
  path = text(path, 2, "chdir")
  if path == "" then return invalid(false, no_path) end
  local where, err = enter(v.id, v.cwd, path)
  if not where then return false, err end
  v.cwd = where
  return true, nil
end
function fs.pwd(self)
  local v = volume(self, "pwd")
  return v.cwd == "." and "/" or "/" .. v.cwd, nil
end
function fs.open(self, path, mode)
  local v = volume(self, "open")
  path = text(path, 2, "open")
  if path == "" then return invalid(nil, no_path) end
  mode = text(mode, 3, "open")
  if mode ~= "r" and mode ~= "w" and mode ~= "wx" and mode ~= "a" then
    return invalid(nil, "invalid mode: must be 'r', 'w', 'wx' or 'a'")
  end
  return open(v.id, v.cwd, path, mode)
end
function fs.stat(self, path)
  local v = volume(self, "stat")
  path = text(path, 2, "stat")
  if path == "" then return invalid(nil, no_path) end
  return stat(v.id, v.cwd, path)
end
function fs.mkdir(self, path)
  local v = volume(self, "mkdir")
  path = text(path, 2, "mkdir")
  if path == "" then return invalid(false, no_path) end
  return or_false(mkdir(v.id, v.cwd, path))
end
function fs.remove(self, path)
  local v = volume(self, "remove")
  path = text(path, 2, "remove")
  if path == "" then return invalid(false, no_path) end
  return or_false(remove(v.id, v.cwd, path))
end
function fs.readdir(self, path)
  local v = volume(self, "readdir")
  path = text(path, 2, "readdir")
  if path == "" then return invalid(nil, no_path) end
  local entries, err = list(v.id, v.cwd, path)
  if not entries then return nil, err end
  local at = 0
  return function()
    at = at + 1
    return entries[at]
  end, nil
end
function fs.exists(self, path)
  local v = volume(self, "exists")
  return or_false(exists(v.id, v.cwd, text(path, 2, "exists")))
end
function fs.isdir(self, path)
  local v = volume(self, "isdir")
  local info, err = stat(v.id, v.cwd, text(path, 2, "isdir"))
  if not info then return false, err end
  return info.is_dir, nil
end
function fs.readfile(self, path)
  local v = volume(self, "readfile")
  path = text(path, 2, "readfile")
  if path == "" then return invalid(nil, no_path) end
  return read(v.id, v.cwd, path)
end
function fs.writefile(self, path, data, mode)
  local v = volume(self, "writefile")
  path = text(path, 2, "writefile")
  if path == "" then return invalid(false, no_path) end
  if data == nil then return invalid(false, "data argument required") end
  mode = mode == nil and "w" or text(mode, 4, "writefile")
  if mode ~= "w" and mode ~= "wx" and mode ~= "a" then
    return invalid(false, "invalid mode; must be 'w', 'wx' or 'a'")
  end
  local object = type(data) == "table" and getmetatable(data) == false
  if type(data) ~= "string" and not object then return invalid(false, "invalid input type, expected string or Reader") end
  return or_false(write(v.id, v.cwd, path, data, mode))
end
fs.read_file, fs.write_file = fs.readfile, fs.writefile

return {
  get = function(id)
    id = text(id, 1, "get")
    if id == "" then return nil, sys_error("Invalid", "filesystem name required", false) end
    local ok, err = get(id)
    if not ok then return nil, err end
    local object = sys.instance(Volume, {})
    volumes[object] = { id = id, cwd = "." }
    return object, nil
  end,
  type = { FILE = "file", DIR = "directory" },
  seek = { SET = "set", CUR = "cur", END = "end" },
}
