-- Values across the Lua border: MessagePack with a few extension types, and the deep copy used between actors of
-- one VM. Called once per VM as chunk(K). Sets K.encode, K.encode_message, K.decode, K.decode_list, K.copy.
--
-- Extension types: 1 = Error, 2 = Payload, 3 = handle of a host resource {class, id}, 4 = packed object {class, value}.
-- A table whose keys are exactly 1..n (n > 0) is an array; any other table, the empty one too, is a map.
-- A string that is valid UTF-8 travels as text, any other as bytes; Lua sees one string type either way.
local K = ...
local type, next, select, error, setmetatable = type, next, select, error, setmetatable
local getmetatable = debug.getmetatable -- objects hide theirs from user code
local spack, sunpack, sbyte, ssub, schar = string.pack, string.unpack, string.byte, string.sub, string.char
local concat, utf8len, mathtype = table.concat, utf8.len, math.type
local MAX_DEPTH = 128

local function thaw(t) return K.thaw(t) end -- the fields of a table that table.freeze made read-only
local rawlen, rawget = rawlen, rawget
local class_of = K.class_of -- metatable -> class record {name, pack, unpack, handle}
local error_fields = K.error_fields

local function pack_string(s)
  local n = #s
  if utf8len(s) then
    if n < 32 then return schar(0xa0 + n) .. s end
    if n < 256 then return "\xd9" .. schar(n) .. s end
    if n < 65536 then return spack(">Bs2", 0xda, s) end
    return spack(">Bs4", 0xdb, s)
  end
  if n < 256 then return spack(">Bs1", 0xc4, s) end
  if n < 65536 then return spack(">Bs2", 0xc5, s) end
  return spack(">Bs4", 0xc6, s)
end

local function pack_ext(code, data)
  local n = #data
  if n < 256 then return spack(">BBB", 0xc7, n, code) .. data end
  if n < 65536 then return spack(">BI2B", 0xc8, n, code) .. data end
  return spack(">BI4B", 0xc9, n, code) .. data
end

local function pack_integer(v)
  if v >= 0 then
    if v < 128 then return schar(v) end
    if v < 65536 then return spack(">BI2", 0xcd, v) end
    return spack(">Bi8", 0xd3, v)
  end
  if v >= -32 then return schar(256 + v) end
  return spack(">Bi8", 0xd3, v)
end

local pack_value

-- Array or map? One pass with `next`: the keys must be 1..n in any order.
local function array_length(t)
  local n = rawlen(t) -- user code may have given it a __len
  if n == 0 then return 0 end
  local count = 0
  for k in next, t do
    if mathtype(k) ~= "integer" or k < 1 or k > n then return 0 end
    count = count + 1
  end
  return count == n and n or 0
end
K.array_length = array_length

local function pack_table(t, out, o, depth, crossing)
  if depth > MAX_DEPTH then error("value is nested deeper than " .. MAX_DEPTH .. " levels or refers to itself", 0) end
  local n = array_length(t)
  if n > 0 then
    o = o + 1
    if n < 16 then out[o] = schar(0x90 + n)
    elseif n < 65536 then out[o] = spack(">BI2", 0xdc, n)
    else out[o] = spack(">BI4", 0xdd, n) end
    for i = 1, n do o = pack_value(rawget(t, i), out, o, depth + 1, crossing) end
    return o
  end
  local head = o + 1
  o = head
  local count = 0
  for k, v in next, t do
    local tk = type(k)
    if tk == "string" or tk == "number" or tk == "boolean" then
      local before = o
      o = pack_value(k, out, o, depth + 1, crossing)
      local key_end = o
      o = pack_value(v, out, o, depth + 1, crossing)
      if o == key_end + 1 and out[o] == "\xc0" then
        for i = before + 1, o do out[i] = nil end -- functions and the like vanish with their key
        o = before
      else
        count = count + 1
      end
    end
  end
  if count < 16 then out[head] = schar(0x80 + count)
  elseif count < 65536 then out[head] = spack(">BI2", 0xde, count)
  else out[head] = spack(">BI4", 0xdf, count) end
  return o
end

local function pack_object(v, class, out, o, depth, crossing)
  if class.name == "Error" then
    out[o + 1] = pack_ext(1, K.encode_now(error_fields(v), crossing))
    return o + 1
  elseif class.name == "Payload" then
    out[o + 1] = pack_ext(2, K.encode_now({ v[2], v[1], v.raw or false }, crossing))
    return o + 1
  elseif class.pack then
    out[o + 1] = pack_ext(4, K.encode_now({ class.name, class.pack(v) }, crossing))
    return o + 1
  elseif class.handle and not crossing then
    out[o + 1] = pack_ext(3, K.encode_now({ class.name, v.handle }, crossing))
    return o + 1
  end
  out[o + 1] = "\xc0"
  return o + 1
end

-- Appends the encoding of v to out after index o; returns the new last index.
function pack_value(v, out, o, depth, crossing)
  local t = type(v)
  if t == "string" then
    out[o + 1] = pack_string(v)
  elseif t == "number" then
    if mathtype(v) == "integer" then out[o + 1] = pack_integer(v) else out[o + 1] = spack(">Bd", 0xcb, v) end
  elseif t == "table" then
    local mt = getmetatable(v)
    local class = mt and class_of[mt]
    if class then return pack_object(v, class, out, o, depth, crossing) end
    return pack_table(mt and thaw(v) or v, out, o, depth, crossing)
  elseif t == "boolean" then
    out[o + 1] = v and "\xc3" or "\xc2"
  else
    out[o + 1] = "\xc0" -- nil; functions, threads and userdata cross as nil, as in the reference
  end
  return o + 1
end

function K.encode_now(v, crossing)
  local out = {}
  return concat(out, "", 1, pack_value(v, out, 0, 1, crossing))
end

-- All arguments as one array. Operations may be given handles; messages (`crossing`) may not.
local function encode_list(crossing, ...)
  local n = select("#", ...)
  if n == 0 then return "\x90" end
  local out = { n < 16 and schar(0x90 + n) or spack(">BI2", 0xdc, n) }
  local o = 1
  if n == 1 then
    o = pack_value((...), out, o, 1, crossing)
  else
    for i = 1, n do o = pack_value((select(i, ...)), out, o, 1, crossing) end
  end
  local data = concat(out, "", 1, o)
  if o > 32 or #data > 4096 then K.tick_check(o * 8 + (#data >> 7)) end -- the value is complete: others may run
  return data
end
function K.encode(...) return encode_list(false, ...) end
function K.encode_message(...) return encode_list(true, ...) end

-- decoding ---------------------------------------------------------------------------------------------------------
local unpack_value

local function unpack_array(s, p, n)
  local t = {}
  for i = 1, n do
    local v
    v, p = unpack_value(s, p)
    t[i] = v
  end
  return t, p
end

local function unpack_map(s, p, n)
  local t = {}
  for _ = 1, n do
    local k, v
    k, p = unpack_value(s, p)
    v, p = unpack_value(s, p)
    if k ~= nil and k == k then t[k] = v end -- no key of Lua is nil or NaN
  end
  return t, p
end

local function unpack_ext(code, data)
  local v = unpack_value(data, 1)
  if code == 1 then return K.error_from(v) end
  if code == 2 then return K.new_payload(v[2], v[1], v[3] or nil) end
  if code == 3 then return K.new_object(v[1], v[2]) end
  if code == 4 then return K.unpack_object(v[1], v[2]) end
  return nil
end

local fixed = {
  [0xc0] = function(_, p) return nil, p end,
  [0xc2] = function(_, p) return false, p end,
  [0xc3] = function(_, p) return true, p end,
  [0xc4] = function(s, p) return sunpack(">s1", s, p) end,
  [0xc5] = function(s, p) return sunpack(">s2", s, p) end,
  [0xc6] = function(s, p) return sunpack(">s4", s, p) end,
  [0xca] = function(s, p) return sunpack(">f", s, p) end,
  [0xcb] = function(s, p) return sunpack(">d", s, p) end,
  [0xcc] = function(s, p) return sunpack(">I1", s, p) end,
  [0xcd] = function(s, p) return sunpack(">I2", s, p) end,
  [0xce] = function(s, p) return sunpack(">I4", s, p) end,
  [0xcf] = function(s, p)
    local v, q = sunpack(">I8", s, p)
    if v < 0 then v = v + 18446744073709551616.0 end -- beyond Lua's integers: the nearest float
    return v, q
  end,
  [0xd0] = function(s, p) return sunpack(">i1", s, p) end,
  [0xd1] = function(s, p) return sunpack(">i2", s, p) end,
  [0xd2] = function(s, p) return sunpack(">i4", s, p) end,
  [0xd3] = function(s, p) return sunpack(">i8", s, p) end,
  [0xd9] = function(s, p) return sunpack(">s1", s, p) end,
  [0xda] = function(s, p) return sunpack(">s2", s, p) end,
  [0xdb] = function(s, p) return sunpack(">s4", s, p) end,
  [0xdc] = function(s, p) local n, q = sunpack(">I2", s, p) return unpack_array(s, q, n) end,
  [0xdd] = function(s, p) local n, q = sunpack(">I4", s, p) return unpack_array(s, q, n) end,
  [0xde] = function(s, p) local n, q = sunpack(">I2", s, p) return unpack_map(s, q, n) end,
  [0xdf] = function(s, p) local n, q = sunpack(">I4", s, p) return unpack_map(s, q, n) end,
}
for i, n in next, { 1, 2, 4, 8, 16 } do
  fixed[0xd3 + i] = function(s, p) return unpack_ext(sbyte(s, p), ssub(s, p + 1, p + n)), p + 1 + n end
end
for i, f in next, { ">I1", ">I2", ">I4" } do
  fixed[0xc6 + i] = function(s, p)
    local n, q = sunpack(f, s, p)
    return unpack_ext(sbyte(s, q), ssub(s, q + 1, q + n)), q + 1 + n
  end
end

function unpack_value(s, p)
  local b = sbyte(s, p)
  p = p + 1
  if b < 0x80 then return b, p end
  if b < 0x90 then return unpack_map(s, p, b - 0x80) end
  if b < 0xa0 then return unpack_array(s, p, b - 0x90) end
  if b < 0xc0 then
    local e = p + b - 0xa0
    return ssub(s, p, e - 1), e
  end
  if b >= 0xe0 then return b - 256, p end
  return fixed[b](s, p)
end
function K.decode(s) return (unpack_value(s, 1)) end

-- The values of an encoded array, and their count: decode_list(s) -> n, table
function K.decode_list(s)
  local b = sbyte(s, 1)
  local n, p
  if b >= 0x90 and b < 0xa0 then n, p = b - 0x90, 2
  elseif b == 0xdc then n, p = sunpack(">I2", s, 2)
  else n, p = sunpack(">I4", s, 2) end
  local t = {}
  for i = 1, n do
    local v
    v, p = unpack_value(s, p)
    t[i] = v
  end
  return n, t
end

-- copy ---------------------------------------------------------------------------------------------------------
-- What a message carries from actor to actor of one VM: plain tables copied deep, errors and packable (immutable)
-- objects shared, everything else nil. The same result as encode_message followed by decode.
local copied = 0 -- fields copied since K.copy began
local PLAIN = { string = true, number = true, boolean = true }
local new_table = table.create
local function copy_table(t, depth)
  if depth > MAX_DEPTH then error("value is nested deeper than " .. MAX_DEPTH .. " levels or refers to itself", 0) end
  local length = rawlen(t)
  local out = new_table(length, length == 0 and 4 or 0) -- room for what most messages hold
  local n = 0
  for k, v in next, t do
    n = n + 1
    if PLAIN[type(k)] then
      local tv = type(v)
      if PLAIN[tv] then
        out[k] = v
      elseif tv == "table" then
        local mt = getmetatable(v)
        if not mt then
          out[k] = copy_table(v, depth + 1)
        else
          local class = class_of[mt]
          if class then
            out[k] = class.copy and class.copy(v) or class.shared and v or nil
          else
            out[k] = copy_table(thaw(v), depth + 1)
          end
        end
      end
    end
  end
  copied = copied + n
  return out
end

function K.copy(v)
  local t = type(v)
  if t == "table" then
    local mt = getmetatable(v)
    if mt then
      local class = class_of[mt]
      if class then return class.copy and class.copy(v) or class.shared and v or nil end
      v = thaw(v)
    end
    copied = 0
    local out = copy_table(v, 1)
    if copied > 32 then K.tick_check(copied * 8) end -- only now: another task may run, and change what was copied
    return out
  elseif t == "function" or t == "userdata" or t == "thread" then
    return nil
  end
  return v
end
