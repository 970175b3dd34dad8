-- Text and numbers as user code sees them: number text, tostring, concatenation, string.format and the bounded
-- byte functions. Chunk `(K)`; sets K.type, K.tostring, K.cat, K.cat2, K.cat3, K.numbers. Loaded first.
-- size: one chunk for the VM; its parts share the number text and the argument checks.
local K = ...
local raw_type, raw_tostring, raw_tonumber, select, error = type, tostring, tonumber, select, error
local rawget, setmetatable, pcall = rawget, setmetatable, pcall
local raw_format, raw_concat, unpack, table_move = string.format, table.concat, table.unpack, table.move
local raw_sub, raw_rep, raw_byte, raw_char, find, match = string.sub, string.rep, string.byte, string.char,
    string.find, string.match
local raw_upper, raw_lower, raw_reverse = string.upper, string.lower, string.reverse
local math_type, floor, ceil, tointeger = math.type, math.floor, math.ceil, math.tointeger
local MAXINT, MININT, HUGE = math.maxinteger, math.mininteger, math.huge
local rawmt = debug.getmetatable
local is_object = assert(K.is_object, "the kernel sets K.is_object first")

local LIMIT = 64 * 1024 * 1024  -- bytes one library call may build
local SPREAD = 250000           -- values one call may push on the stack
local N = { LIMIT = LIMIT, SPREAD = SPREAD, rawmt = rawmt }

-- Budget of work proportional to `n` bytes done inside C. Small work is covered by the caller's own checks.
local function charge(n)
    if n > 256 then K.tick_check(n >> 6) end
end
N.charge = charge

local function typeof(v)
    local t = raw_type(v)
    if t == "table" and rawmt(v) ~= nil and is_object(v) then return "userdata" end
    return t
end
K.type, N.typeof = typeof, typeof

-- Argument checks. Callers are library functions; the error points at their caller.
local function fail(index, name, problem, level)
    error("bad argument #" .. index .. " to " .. name .. " (" .. problem .. ")", level or 4)
end
local function expected(index, name, what, v, level)
    fail(index, name, what .. " expected, got " .. (v == nil and "nil" or typeof(v)), level and level + 1 or 5)
end
N.fail, N.expected = fail, expected

local function trim_point(v)  -- toward zero; nil where no integer fits
    if v >= 0 then v = floor(v) else v = ceil(v) end
    return tointeger(v)
end

-- An integer argument: floats are truncated, numeric text counts, what is beyond the integers is clamped.
local function check_int(v, index, name, default)
    if math_type(v) == "integer" then return v end
    if v == nil and default ~= nil then return default end
    if raw_type(v) == "string" then
        local n = raw_tonumber(v)
        if math_type(n) == "integer" then return n end
        v = n or v
    end
    if raw_type(v) ~= "number" then expected(index, name, "number", v) end
    if v ~= v then fail(index, name, "number has no integer representation") end
    return trim_point(v) or (v > 0 and MAXINT or MININT)
end
N.check_int = check_int

local function check_table(v, index, name)
    if typeof(v) ~= "table" then expected(index, name, "table", v) end
end
N.check_table = check_table

-- Number text ------------------------------------------------------------------------------------------------
local SHORT = {}
for digits = 1, 17 do SHORT[digits] = "%." .. digits .. "g" end
local TINY = 0x1p-1022  -- below it the shortest text may have fewer digits than %.14g would show
local function shortest(v, first)
    for digits = first, 16 do
        local s = raw_format(SHORT[digits], v)
        if raw_tonumber(s) == v then return s end
    end
    -- Half-way between two texts of 16 digits C takes the even one; at a power of two only the upper one reads back.
    local head, digit, rest = match(raw_format("%.16g", v), "^([-.%d]*)([02468])(e?[-+%d]*)$")
    if head then
        local s = head .. raw_format("%d", raw_tonumber(digit) + 1) .. rest
        if raw_tonumber(s) == v then return s end
    end
    return raw_format("%.17g", v)
end

local function number_text(v)
    if math_type(v) == "integer" then return raw_tostring(v) end
    if v >= -0x1p63 and v < 0x1p63 then
        if floor(v) == v then return raw_format("%d", v) end
        return shortest(v, (v < TINY and v > -TINY) and 1 or 14)
    end
    if v ~= v then return "NaN" end
    if v == HUGE then return "+Inf" elseif v == -HUGE then return "-Inf" end
    return shortest(v, 14)
end
N.text = number_text

-- Addresses would differ from run to run and tell about memory: tables and functions get numbers in order of asking,
-- each actor its own: what it sees depends on nothing but itself, for a workflow does the same wherever it is replayed.
local nobody = {}
local function identity(v)
    local of = K.current() or nobody
    local ids = of.identities
    if not ids then
        ids = setmetatable({}, { __mode = "k" })
        of.identities, of.identities_count = ids, 0
    end
    local id = ids[v]
    if not id then
        local count = of.identities_count + 1
        of.identities_count = count
        id = raw_format("0x%08x", count * 16)
        ids[v] = id
    end
    return id
end

local function tostr(v)
    local t = raw_type(v)
    if t == "string" then return v end
    if t == "number" then return number_text(v) end
    if t == "table" or t == "userdata" then
        local mt = rawmt(v)
        if mt == nil then return "table: " .. identity(v) end
        local f = rawget(mt, "__tostring")
        if f ~= nil then
            local r = f(v)
            if raw_type(r) == "number" then return number_text(r) end
            if raw_type(r) ~= "string" then error("'__tostring' must return a string", 2) end
            return r
        end
        local name = rawget(mt, "__name")
        return (raw_type(name) == "string" and name or typeof(v)) .. ": " .. identity(v)
    end
    if t == "function" or t == "thread" then return t .. ": " .. identity(v) end
    return raw_tostring(v)
end
K.tostring, N.tostring = tostr, tostr

local function check_text(v, index, name)
    if raw_type(v) == "string" then return v end
    if raw_type(v) == "number" then return number_text(v) end
    if K.is_error and K.is_error(v) then return tostr(v) end -- as the reference takes an error for its text
    expected(index, name, "string", v)
end
N.check_text = check_text

-- Concatenation ----------------------------------------------------------------------------------------------
local function too_long(level) error("string too long: the limit is " .. LIMIT .. " bytes", level + 1) end

local function has_concat(v)
    local mt = rawmt(v)
    return mt ~= nil and rawget(mt, "__concat") ~= nil
end

local function join(a, b, level)
    local ta, tb = raw_type(a), raw_type(b)
    if (ta == "string" or ta == "number") and (tb == "string" or tb == "number") then
        if ta == "number" then a = number_text(a) end
        if tb == "number" then b = number_text(b) end
        local n = #a + #b
        if n > 4096 then
            if n > LIMIT then too_long(level) end
            charge(n)
        end
        return a .. b
    end
    if has_concat(a) or has_concat(b) then return a .. b end
    if ta == "string" or ta == "number" then a = b end
    local mt = rawmt(a)
    local name = mt and rawget(mt, "__name")
    error("attempt to concatenate a " .. (raw_type(name) == "string" and name or typeof(a)) .. " value", level)
end

--- `a .. b`
local function cat2(a, b)
    if raw_type(a) == "string" and raw_type(b) == "string" and #a + #b <= 4096 then return a .. b end
    return (join(a, b, 3))
end

--- `a .. b .. c`, right to left
local function cat3(a, b, c)
    if raw_type(a) == "string" and raw_type(b) == "string" and raw_type(c) == "string"
        and #a + #b + #c <= 4096 then
        return a .. b .. c
    end
    return (join(a, (join(b, c, 3)), 3))
end

--- `v1 .. v2 .. ... .. vn`, right to left
local function cat(...)
    local n = select("#", ...)
    if n == 2 then
        local a, b = ...
        return (join(a, b, 3))
    end
    local values = { ... }
    local strings, size = true, 0
    for i = 1, n do
        local v = values[i]
        local t = raw_type(v)
        if t == "number" then
            v = number_text(v)
        elseif t ~= "string" then
            strings = false
            break
        end
        size = size + #v
        values[i] = v
    end
    if strings then
        if size > LIMIT then too_long(2) end
        charge(size)
        return raw_concat(values, "", 1, n)
    end
    values = { ... }  -- metamethods get the operands as written
    local result = values[n]
    for i = n - 1, 1, -1 do result = join(values[i], result, 3) end
    return result
end
K.cat, K.cat2, K.cat3 = cat, cat2, cat3

function N.concat(t, sep, first, last)
    check_table(t, 1, "concat")
    sep = sep == nil and "" or check_text(sep, 2, "concat")
    first = check_int(first, 3, "concat", 1)
    last = last == nil and #t or check_int(last, 4, "concat")
    if first > last then return "" end
    local size, width, i = 0, #sep, first
    local parts, n  -- a copy, from the first number or metamethod on
    if rawmt(t) ~= nil or last - first > 1000 then parts, n = {}, 0 end  -- other tasks may run and change it
    while true do
        local v = t[i]
        local kind = raw_type(v)
        if kind == "number" then
            v = number_text(v)
            if not parts then
                n = i - first
                parts = table_move(t, first, i - 1, 1, {})
            end
        elseif kind ~= "string" then
            error("invalid value (at index " .. raw_tostring(i) .. ") in table for concat", 2)
        end
        if parts then
            n = n + 1
            parts[n] = v
        end
        size = size + #v + width
        if size - width > LIMIT then too_long(2) end
        if i & 1023 == 0 then K.tick_check(512) end
        if i >= last then break end
        i = i + 1
    end
    charge(size + ((last - first) << 4))
    if parts then return raw_concat(parts, sep, 1, n) end
    return raw_concat(t, sep, first, last)
end

-- string.format ----------------------------------------------------------------------------------------------
local function format_int(v, index)
    if math_type(v) == "integer" then return v end
    local n = v
    if raw_type(v) == "string" then n = raw_tonumber(v) or v end
    if math_type(n) == "integer" then return n end
    if raw_type(n) ~= "number" then expected(index, "format", "number", v, 4) end
    local r = n == n and trim_point(n)
    return r or fail(index, "format", "number has no integer representation")
end

local function format_number(v, index)
    if raw_type(v) == "number" then return v end
    local n = raw_type(v) == "string" and raw_tonumber(v)
    return n or expected(index, "format", "number", v, 4)
end

local function padded(text, width, left)
    local gap = width - #text
    if gap <= 0 then return text end
    return left and text .. raw_rep(" ", gap) or raw_rep(" ", gap) .. text
end

local function format_text(flags, width, precision)
    width, precision = raw_tonumber(width) or 0, precision and (raw_tonumber(precision) or 0)
    local left = find(flags, "-", 1, true) ~= nil
    if width == 0 and not precision then return tostr end
    return function(v)
        v = tostr(v)
        if precision then v = raw_sub(v, 1, precision) end
        return padded(v, width, left)
    end
end

local function format_quoted(v, index)
    local t = raw_type(v)
    if t == "string" then
        if #v > LIMIT // 8 then too_long(3) end
        charge(#v << 5)
        return raw_format("%q", v)
    end
    if t == "number" then return number_text(v) end
    if t == "nil" or t == "boolean" then return raw_tostring(v) end
    fail(index, "format", "value has no literal form")
end

local function format_pointer(flags, width)
    local left = find(flags, "-", 1, true) ~= nil
    return function(v)
        local t = raw_type(v)
        local text = (t == "table" or t == "function" or t == "thread") and identity(v) or "(null)"
        return padded(text, raw_tonumber(width) or 0, left)
    end
end

local SAMPLE = { d = 1, i = 1, c = 65, o = 1, x = 1, X = 1, a = 1.5, A = 1.5, e = 1.5, E = 1.5, f = 1.5, F = 1.5,
    g = 1.5, G = 1.5, s = "", p = false, q = "" }
local WHOLE = { d = true, i = true, c = true, o = true, x = true, X = true }

-- One conversion at `%` position `i`: its end, its converter, the text C's format gets for it.
local function conversion(f, i)
    local _, e, flags, width, dot, precision, kind = find(f, "^%%([-+ #0]*)(%d*)(%.?)(%d*)(.?)", i)
    local spec = raw_sub(f, i, e)
    local sample = SAMPLE[kind]
    if sample == nil or not pcall(raw_format, spec, sample) then
        error("invalid conversion '" .. raw_sub(spec, 1, 22) .. "' to format", 0)
    end
    if kind == "s" then return e, format_text(flags, width, dot ~= "" and precision or nil), "%s" end
    if kind == "q" then return e, format_quoted, "%s" end
    if kind == "p" then return e, format_pointer(flags, width), "%s" end
    return e, WHOLE[kind] and format_int or format_number, spec
end

local formats, format_count = {}, 0
local function compile_format(f)
    local out, list, i = {}, {}, 1
    while true do
        local j = find(f, "%", i, true)
        if not j then break end
        out[#out + 1] = raw_sub(f, i, j - 1)
        if raw_byte(f, j + 1) == 37 then
            out[#out + 1] = "%%"
            i = j + 2
        else
            local e, convert, spec = conversion(f, j)
            list[#list + 1] = convert
            out[#out + 1] = spec
            i = e + 1
        end
        if #out & 1023 == 0 then K.tick_check(1024) end
    end
    out[#out + 1] = raw_sub(f, i)
    list.text, list.n = raw_concat(out), #list
    if #f <= 256 then
        if format_count >= 512 then formats, format_count = {}, 0 end
        formats[f], format_count = list, format_count + 1
    end
    return list
end

local function compiled(f)
    local ok, list = pcall(compile_format, f)
    if not ok then  -- kills and memory errors pass as they are
        error(list, raw_type(list) == "string" and list ~= "not enough memory" and 3 or 0)
    end
    return list
end

function N.format(f, ...)
    if raw_type(f) ~= "string" then f = check_text(f, 1, "format") end
    local list = formats[f] or compiled(f)
    local n = list.n
    if n == 0 then return (raw_format(list.text)) end
    if select("#", ...) < n then fail(select("#", ...) + 2, "format", "no value", 3) end
    if n == 1 and #f < 4096 then
        local v = list[1]((...), 2)
        if raw_type(v) == "string" then
            if #v > LIMIT - 4096 then too_long(2) end
            charge(#v)
        end
        return (raw_format(list.text, v))
    end
    if n == 2 and #f < 4096 then
        local a, b = ...
        a = list[1](a, 2)
        b = list[2](b, 3)
        local size = (raw_type(a) == "string" and #a or 420) + (raw_type(b) == "string" and #b or 420)
        if size > LIMIT - 4096 then too_long(2) end
        charge(size)
        return (raw_format(list.text, a, b))
    end
    if n > SPREAD then error("too many conversions for format", 2) end
    local args, size = { ... }, #f
    for i = 1, n do
        local v = list[i](args[i], i + 1)
        args[i] = v
        size = size + (raw_type(v) == "string" and #v or 420)  -- %99.99f of the largest float is 409 bytes
        if size > LIMIT then too_long(2) end
    end
    charge(size)
    return (raw_format(list.text, unpack(args, 1, n)))
end

-- Bytes --------------------------------------------------------------------------------------------------------
function N.sub(s, i, j)
    if raw_type(s) ~= "string" then s = check_text(s, 1, "sub") end
    if math_type(i) ~= "integer" then i = check_int(i, 2, "sub", 1) end
    if j == nil then j = -1 elseif math_type(j) ~= "integer" then j = check_int(j, 3, "sub") end
    if #s > 4096 then charge(#s >> 4) end
    return (raw_sub(s, i, j))
end

function N.len(s)
    if raw_type(s) == "string" then return #s end
    return #check_text(s, 1, "len")
end

function N.byte(s, i, j)
    if raw_type(s) ~= "string" then s = check_text(s, 1, "byte") end
    i = math_type(i) == "integer" and i or check_int(i, 2, "byte", 1)
    if j == nil then
        if i == 0 then return end  -- as the C function: nothing at 0
        return raw_byte(s, i)
    end
    j = check_int(j, 3, "byte")
    local n = #s
    local first = i > 0 and i or i == 0 and 1 or i < -n and 1 or n + i + 1
    local last = j > n and n or j >= 0 and j or j < -n and 0 or n + j + 1
    if first > last then return end
    if last - first >= SPREAD then error("string slice too long", 2) end
    return raw_byte(s, first, last)
end

function N.char(...)
    local n = select("#", ...)
    local codes = { ... }
    charge(n << 6)
    for i = 1, n do
        local c = codes[i]
        if math_type(c) ~= "integer" then
            c = check_int(c, i, "char")
            codes[i] = c
        end
        if c < 0 or c > 255 then fail(i, "char", "value out of range", 3) end
    end
    return raw_char(unpack(codes, 1, n))
end

function N.rep(s, n, sep)
    s = check_text(s, 1, "rep")
    n = check_int(n, 2, "rep")
    sep = sep == nil and "" or check_text(sep, 3, "rep")
    if n <= 0 then return "" end
    local size = (#s + 0.0) * n + (#sep + 0.0) * (n - 1)
    if size > LIMIT then error("resulting string too large: the limit is " .. LIMIT .. " bytes", 2) end
    if size == 0 then return "" end
    charge(floor(size))
    return raw_rep(s, n, sep)
end

local function mapping(name, f)
    return function(s)
        if raw_type(s) ~= "string" then s = check_text(s, 1, name) end
        charge(#s)
        return (f(s))
    end
end
N.upper, N.lower, N.reverse = mapping("upper", raw_upper), mapping("lower", raw_lower),
    mapping("reverse", raw_reverse)

K.numbers = N
return N
