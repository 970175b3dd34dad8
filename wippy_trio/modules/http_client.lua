-- The `http_client` module. Streams among the files of a request go as arguments of their own: the border resolves
-- host objects only there.
local sys = ...
local type, next, tostring, upper, unpack = type, next, tostring, string.upper, table.unpack
local is, argument_error, check = sys.is, sys.argument_error, sys.check
local send, batch = sys.waiting("http_client.request"), sys.waiting("http_client.batch")
local encode, decode = sys.immediate("http_client.encode_uri"), sys.immediate("http_client.decode_uri")

local function text(v, index, name)
  if type(v) == "number" then return tostring(v) end
  return check(v, "string", index, name)
end

local function plain(v) return type(v) == "table" and not sys.is_error(v) end
-- The options with every reader replaced by its position among the second result.
local function without_readers(options)
  local files = options.files
  if not plain(files) then return options, {} end
  local copy, readers, listed = {}, {}, {}
  for key, value in next, options do copy[key] = value end
  for index = 1, #files do
    local file = files[index]
    if plain(file) and is(file.reader, "stream.Stream") then
      local told = {}
      for key, value in next, file do told[key] = value end
      readers[#readers + 1] = file.reader
      told.reader = #readers
      file = told
    end
    listed[index] = file
  end
  copy.files = listed
  return copy, readers
end

local function perform(method, url, options)
  if not plain(options) then return send(method, url, {}) end
  local given, readers = without_readers(options)
  return send(method, url, given, unpack(readers))
end
local function optional_table(v, index, name)
  if v ~= nil then check(v, "table", index, name) end
  return v
end
local function verb(name)
  local method = upper(name)
  return function(url, options)
    url = text(url, 1, name)
    if url == "" then argument_error(1, name, "URL required") end
    return perform(method, url, optional_table(options, 2, name))
  end
end

return {
  get = verb("get"),
  post = verb("post"),
  put = verb("put"),
  delete = verb("delete"),
  head = verb("head"),
  patch = verb("patch"),
  request = function(method, url, options)
    method = text(method, 1, "request")
    if method == "" then argument_error(1, "request", "method required") end
    url = text(url, 2, "request")
    if url == "" then argument_error(2, "request", "URL required") end
    return perform(method, url, optional_table(options, 3, "request"))
  end,
  request_batch = function(requests)
    check(requests, "table", 1, "request_batch")
    if #requests == 0 then argument_error(1, "request_batch", "requests table cannot be empty") end
    return batch(requests)
  end,
  encode_uri = function(s) return encode(text(s, 1, "encode_uri")) end,
  decode_uri = function(s) return decode(text(s, 1, "decode_uri")) end,
}
