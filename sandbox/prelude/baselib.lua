-- The base library of user code. Chunk `(K)`, loaded after numbers.lua and pattern.lua; returns the plain globals,
-- whose tables the kernel freezes. Sets K.thaw. Source: docs lua/core/base.
-- size: one chunk for the VM; every function of it needs to know whose table it was given.
local K = ...
local N, P = K.numbers, K.pattern
local raw_type, raw_tonumber, raw_select, raw_next, raw_ipairs = type, tonumber, select, next, ipairs
local rawget, raw_rawset, rawequal, setmetatable, error, assert = rawget, rawset, rawequal, setmetatable, error, assert
local raw_insert, raw_remove, raw_sort, raw_unpack, raw_create, raw_move = table.insert, table.remove, table.sort,
    table.unpack, table.create, table.move
local rawmt = debug.getmetatable
local M = math
local math_type, floor, ceil, exp, abs = M.type, M.floor, M.ceil, M.exp, M.abs
local typeof, check_int, check_table, fail, expected = N.typeof, N.check_int, N.check_table, N.fail, N.expected
local number_text, SPREAD = N.text, N.SPREAD
local getinfo, getupvalue = debug.getinfo, debug.getupvalue
local pack_bits, unpack_bits = string.pack, string.unpack

-- Tables and who owns them -----------------------------------------------------------------------------------
-- Metatables that user code attached. A table with any other metatable belongs to the kernel.
local user_metatables = setmetatable({}, { __mode = "k" })
local FROZEN = {}  -- key, in the metatable of a frozen table, of the table that holds its fields
local THAWED = {}  -- key, ditto, of the metatable it had
local frozen_by_fields = setmetatable({}, { __mode = "k" })  -- the way back

-- The table that holds the fields of `t`, where table.freeze moved them away; otherwise `t`.
local function thaw(t)
    local mt = rawmt(t)
    return mt ~= nil and rawget(mt, FROZEN) or t
end
K.thaw = thaw

-- Whether raw writes would get round a read-only view of the kernel.
local function is_view(t)
    local mt = rawmt(t)
    return mt ~= nil and not user_metatables[mt] and rawget(mt, "__newindex") ~= nil
end

-- A table that a library function is going to write to; its errors point at the caller of that function.
local function check_writable(t, name)
    if typeof(t) ~= "table" then expected(1, name, "table", t) end
    if is_view(t) then error("attempt to modify a read-only table", 3) end
end

-- One step over a table that was emptied walks all of its room: a look at the clock every few of them.
local SCAN_TICKS = 64

local function next_of(t, k)
    K.tick_check(SCAN_TICKS)
    if rawmt(t) == nil then
        if raw_type(t) ~= "table" then expected(1, "next", "table", t, 3) end
        return raw_next(t, k)
    end
    check_table(t, 1, "next")
    return raw_next(thaw(t), k)
end

-- The iterator keeps the table to itself: the raw `next` would open objects, views and frozen tables.
local watched = false -- whether keys are looked at, whose order would depend on the run
function K.watch_keys() watched = true end

local function walk(t)
    if watched then K.check_keys(t) end
    return function(_, k) return raw_next(t, k) end
end

local function pairs_of(t)
    K.tick_check(SCAN_TICKS)
    local mt = rawmt(t)
    if mt == nil then
        if raw_type(t) ~= "table" then expected(1, "pairs", "table", t, 3) end
        return walk(t), t, nil
    end
    check_table(t, 1, "pairs")
    local frozen = rawget(mt, FROZEN)
    if frozen then
        if rawget(rawmt(frozen) or mt, "__pairs") == nil then return walk(frozen), t, nil end
        mt, t = rawmt(frozen), frozen
    end
    local f = rawget(mt, "__pairs")
    if f == nil then return walk(t), t, nil end
    local iterate, state, first = f(t)
    if iterate == raw_next then return walk(state), t, first end  -- a view of the kernel
    return iterate, state, first
end

local function ipairs_of(t)
    if raw_type(t) ~= "table" and rawmt(t) == nil then expected(1, "ipairs", "table", t, 3) end
    check_table(t, 1, "ipairs")
    return raw_ipairs(t)
end

local function get_metatable(v)
    local mt = rawmt(v)
    if mt == nil then return nil end
    if raw_type(v) == "table" then
        if user_metatables[mt] then
            local lock = rawget(mt, "__metatable")
            if lock ~= nil then return lock end
            return frozen_by_fields[mt] or mt
        end
        if rawget(mt, FROZEN) then
            local old = rawget(mt, THAWED)
            return old and frozen_by_fields[old] or old
        end
        if K.is_object(v) then return nil end
    end
    local lock = rawget(mt, "__metatable")
    if lock ~= nil then return lock end
    return nil
end

-- A finalizer would run outside of any actor and its budget. Lua looks for it only at this moment. Where everything has
-- to be reproducible (K.apart) a table is not weak: when the collector comes is chance.
local function attach(t, mt)
    if K.apart and rawget(mt, "__mode") ~= nil then raw_rawset(mt, "__mode", nil) end
    local finalizer = rawget(mt, "__gc")
    if finalizer ~= nil then raw_rawset(mt, "__gc", nil) end
    setmetatable(t, mt)
    if finalizer ~= nil then raw_rawset(mt, "__gc", finalizer) end
    return t
end

local function set_metatable(t, mt)
    check_table(t, 1, "setmetatable")
    if mt ~= nil and typeof(mt) ~= "table" then expected(2, "setmetatable", "nil or table", mt, 3) end
    local old = rawmt(t)
    if old ~= nil and (not user_metatables[old] or rawget(old, "__metatable") ~= nil) then
        error("cannot change a protected metatable", 2)
    end
    if mt == nil then return setmetatable(t, nil) end
    if is_view(mt) and not rawget(rawmt(mt), FROZEN) then
        error("a library cannot be a metatable", 2)
    end
    mt = thaw(mt)
    if rawget(mt, "__close") ~= nil then error("metamethod '__close' is not supported", 2) end
    user_metatables[mt] = true
    return attach(t, mt)
end

local function raw_get(t, k)
    check_table(t, 1, "rawget")
    return rawget(thaw(t), k)
end

local function raw_set(t, k, v)
    check_table(t, 1, "rawset")
    if is_view(t) then error("attempt to modify a read-only table", 2) end
    return raw_rawset(t, k, v)
end

-- Conversion ---------------------------------------------------------------------------------------------------
local function to_number(...)
    local v, base = ...
    if base == nil then
        if raw_type(v) == "number" then return v end
        if raw_type(v) == "string" then
            if #v > 64 then N.charge(#v << 4) end
            local n = raw_tonumber(v)
            return n and n + 0.0  -- text gives a float, as in the reference
        end
        if raw_select("#", ...) == 0 then fail(1, "tonumber", "value expected", 3) end
        return nil
    end
    base = check_int(base, 2, "tonumber")
    if base < 2 or base > 36 then fail(2, "tonumber", "base out of range", 3) end
    if raw_type(v) == "number" then v = number_text(v) end
    if raw_type(v) ~= "string" then expected(1, "tonumber", "string", v, 3) end
    local n = raw_tonumber(v, base)
    return n and n + 0.0
end

local function select_of(n, ...)
    if n == "#" then return raw_select("#", ...) + 0.0 end
    if math_type(n) ~= "integer" then n = check_int(n, 1, "select") end
    if n == 0 or n < -raw_select("#", ...) then fail(1, "select", "index out of range", 3) end
    return raw_select(n, ...)
end

local function spread(t, i, j)
    check_table(t, 1, "unpack")
    i = i == nil and 1 or check_int(i, 2, "unpack")
    j = j == nil and #t or check_int(j, 3, "unpack")
    if i > j then return end
    if j - i >= SPREAD or j - i < 0 then error("too many results to unpack", 2) end
    return raw_unpack(t, i, j)
end

-- table ----------------------------------------------------------------------------------------------------------
local lib_table = { concat = N.concat, unpack = spread }

-- Tables without a metatable go to C; the rest runs here, where a lying __len is counted.
local function insert_at(t, at, v)
    local n = #t
    if at > n or at < 1 then
        t[at] = v
        return
    end
    if rawmt(t) == nil then
        N.charge((n - at) << 4)
        raw_insert(t, at, v)
        return
    end
    for i = n, at, -1 do
        t[i + 1] = t[i]
        if i & 1023 == 0 then K.tick_check(256) end
    end
    t[at] = v
end

function lib_table.insert(t, ...)
    if raw_type(t) ~= "table" or rawmt(t) ~= nil then check_writable(t, "insert") end
    local n = raw_select("#", ...)
    if n == 1 then
        t[#t + 1] = (...)
    elseif n == 2 then
        local at, v = ...
        insert_at(t, check_int(at, 2, "insert"), v)
    else
        error("wrong number of arguments to insert", 2)
    end
end

function lib_table.remove(t, at)
    check_writable(t, "remove")
    local n = #t
    if at == nil then
        if n == 0 then return nil end
        local v = t[n]
        t[n] = nil
        return v
    end
    at = check_int(at, 2, "remove")
    if at < 1 or at > n then return nil end
    if rawmt(t) == nil then
        N.charge((n - at) << 4)
        return (raw_remove(t, at))
    end
    local v = t[at]
    for i = at, n - 1 do
        t[i] = t[i + 1]
        if i & 1023 == 0 then K.tick_check(256) end
    end
    t[n] = nil
    return v
end

-- Whether C may sort `values`: numbers only or strings only, so that no metamethod can be called.
local function plain_order(values, n)
    local kind = raw_type(values[1])
    if kind ~= "number" and kind ~= "string" then return false end
    for i = 2, n do
        if raw_type(values[i]) ~= kind then return false end
    end
    for i = 1, kind == "number" and n or 0 do
        if values[i] ~= values[i] then return false end  -- NaN has no place in an order
    end
    return true
end

local function less_than(a, b)
    local ta, tb = typeof(a), typeof(b)
    if ta == tb and (ta == "number" or ta == "string") then return a < b end
    local ma, mb = rawmt(a), rawmt(b)
    if not (ma and rawget(ma, "__lt") or mb and rawget(mb, "__lt")) then
        error(ta == tb and "attempt to compare two " .. ta .. " values"
            or "attempt to compare " .. ta .. " with " .. tb, 4)
    end
    return a < b
end

-- Merge sort: stable, its cost does not depend on the comparator, and yields pass through it.
local function merge_sort(values, n, less)
    local from, to, width = values, {}, 1
    while width < n do
        for low = 1, n, 2 * width do
            local middle = low + width
            local high = middle + width
            if middle > n + 1 then middle = n + 1 end
            if high > n + 1 then high = n + 1 end
            local i, j = low, middle
            for k = low, high - 1 do
                if i < middle and (j >= high or not less(from[j], from[i])) then
                    to[k] = from[i]
                    i = i + 1
                else
                    to[k] = from[j]
                    j = j + 1
                end
                if k & 1023 == 0 then K.tick_check(1024) end
            end
        end
        from, to, width = to, from, 2 * width
    end
    return from
end

function lib_table.sort(t, less)
    check_writable(t, "sort")
    if less ~= nil and raw_type(less) ~= "function" then expected(2, "sort", "function", less, 3) end
    local n = #t
    if n < 2 then return end
    local values = {}
    for i = 1, n do
        values[i] = t[i]
        if i & 1023 == 0 then K.tick_check(1024) end
    end
    if less == nil and plain_order(values, n) then
        N.charge(n << 5)
        if rawmt(t) == nil then return raw_sort(t) end
        raw_sort(values)
    else
        values = merge_sort(values, n, less or less_than)
    end
    for i = 1, n do t[i] = values[i] end
end

function lib_table.create(array, hash)
    array, hash = check_int(array, 1, "create"), check_int(hash, 2, "create", 0)
    if array < 0 or hash < 0 or array > 4194304 or hash > 4194304 then
        error("table.create: sizes go from 0 to 4194304", 2)
    end
    N.charge((array + hash) << 4)
    return raw_create(array, hash)
end

function lib_table.pack(...)
    return { n = raw_select("#", ...), ... }
end

function lib_table.move(from, first, last, at, to)
    check_table(from, 1, "move")
    first, last, at = check_int(first, 2, "move"), check_int(last, 3, "move"), check_int(at, 4, "move")
    if to == nil then to = from end
    check_writable(to, "move")
    if last < first then return to end
    if last - first < 0 or last - first > 4194304 then error("too many elements to move", 2) end
    if rawmt(from) == nil and rawmt(to) == nil then
        N.charge((last - first) << 4)
        return raw_move(from, first, last, at, to)
    end
    local step_from, step_to, step = first, last, 1
    if at > first and at <= last and rawequal(from, to) then step_from, step_to, step = last, first, -1 end
    for i = step_from, step_to, step do
        to[at + (i - first)] = from[i]
        if i & 1023 == 0 then K.tick_check(256) end
    end
    return to
end

local function refuse_write(_, k)
    error("attempt to modify a frozen table (field '" .. K.tostring(k) .. "')", 2)
end

-- Makes `t` immutable where it stands and returns it: its fields move to a table only the metatable knows.
function lib_table.freeze(t)
    check_table(t, 1, "freeze")
    local old = rawmt(t)
    if old ~= nil and rawget(old, FROZEN) then return t end
    if old ~= nil and (not user_metatables[old] or rawget(old, "__metatable") ~= nil) then
        error("cannot freeze a protected table", 2)
    end
    local fields, mt, count = {}, {}, 0
    for k, v in raw_next, t do
        fields[k] = v
        count = count + 1
        if count & 1023 == 0 then K.tick_check(1024) end
    end
    for k in raw_next, fields do t[k] = nil end
    for k, v in raw_next, old or mt do
        if k ~= "__gc" and k ~= "__mode" then raw_rawset(mt, k, v) end
    end
    if old then attach(fields, old) end
    frozen_by_fields[fields] = t
    mt[FROZEN], mt[THAWED] = fields, old
    mt.__index, mt.__newindex, mt.__metatable = fields, refuse_write, false
    if mt.__len == nil then mt.__len = function() return #fields end end
    return setmetatable(t, mt)
end

function lib_table.isfrozen(t)
    check_table(t, 1, "isfrozen")
    return is_view(t)
end

-- math -------------------------------------------------------------------------------------------------------------
local lib_math = {
    pi = M.pi, huge = M.huge, maxinteger = M.maxinteger, mininteger = M.mininteger,
    sqrt = M.sqrt, exp = exp, log = M.log, sin = M.sin, cos = M.cos, tan = M.tan, asin = M.asin, acos = M.acos,
    atan = M.atan, deg = M.deg, rad = M.rad, modf = M.modf, frexp = M.frexp, ldexp = M.ldexp,
    type = M.type,
}

-- C raises with the position of this file; checking here points at the caller.
local function check_number(v, index, name)
    if raw_type(v) == "number" then return v end
    local n = raw_type(v) == "string" and raw_tonumber(v)
    return n or expected(index, name, "number", v)
end

function lib_math.floor(x)
    if raw_type(x) ~= "number" then x = check_number(x, 1, "floor") end
    return floor(x) + 0.0
end
function lib_math.ceil(x)
    if raw_type(x) ~= "number" then x = check_number(x, 1, "ceil") end
    return ceil(x) + 0.0
end
function lib_math.abs(x)
    if raw_type(x) ~= "number" then x = check_number(x, 1, "abs") end
    return abs(x + 0.0)
end

local function extreme(name, f)
    return function(...)
        local a, b = ...
        if raw_select("#", ...) == 2 and raw_type(a) == "number" and raw_type(b) == "number" then
            return f(a, b) + 0.0
        end
        local best = check_number(a, 1, name)
        for i = 2, raw_select("#", ...) do best = f(best, check_number((raw_select(i, ...)), i, name)) end
        return best + 0.0
    end
end
lib_math.min, lib_math.max = extreme("min", M.min), extreme("max", M.max)

local fmod = M.fmod
function lib_math.fmod(x, y)
    return fmod(check_number(x, 1, "fmod") + 0.0, check_number(y, 2, "fmod") + 0.0)
end
lib_math.mod = lib_math.fmod

function lib_math.pow(x, y) return check_number(x, 1, "pow") ^ check_number(y, 2, "pow") end
function lib_math.log10(x) return M.log(check_number(x, 1, "log10"), 10) end
function lib_math.atan2(y, x) return M.atan(check_number(y, 1, "atan2"), check_number(x, 2, "atan2")) end

local function sinh(x)
    if abs(x) > 0.5 then
        if abs(x) < 709.0 then return (exp(x) - exp(-x)) / 2 end
        local half = exp(abs(x) / 2)
        return (x < 0 and -half or half) / 2 * half
    end
    local square, term, sum = x * x, x, x  -- the series: the difference above would lose digits
    for i = 2, 16, 2 do
        term = term * square / (i * (i + 1))
        sum = sum + term
    end
    return sum
end
local function cosh(x)
    if abs(x) < 709.0 then return (exp(x) + exp(-x)) / 2 end
    local half = exp(abs(x) / 2)
    return half / 2 * half
end
function lib_math.sinh(x) return sinh(check_number(x, 1, "sinh") + 0.0) end
function lib_math.cosh(x) return cosh(check_number(x, 1, "cosh") + 0.0) end
function lib_math.tanh(x)
    x = check_number(x, 1, "tanh") + 0.0
    if x > 20 then return 1.0 elseif x < -20 then return -1.0 end
    return sinh(x) / cosh(x)
end

local tointeger, ult = M.tointeger, M.ult
function lib_math.tointeger(x)
    if raw_type(x) ~= "number" then return nil end
    return tointeger(x)
end
function lib_math.type(x)
    return math_type(x)
end
function lib_math.ult(m, n) return ult(check_int(m, 1, "ult"), check_int(n, 2, "ult")) end

-- Draws come from the run's entropy, or, after randomseed, from a generator of the actor's own (SplitMix64).
local SEED = {}
local function draw()
    local actor = K.current()
    local seed = actor and actor.state[SEED]
    if not seed then return K.random() end
    seed = seed + 0x9e3779b97f4a7c15
    actor.state[SEED] = seed
    local z = (seed ~ (seed >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ~ (z >> 27)) * 0x94d049bb133111eb
    return ((z ~ (z >> 31)) >> 11) * 0x1p-53
end

function lib_math.random(...)
    local n = raw_select("#", ...)
    if n == 0 then return draw() end
    local low, high = ...
    if n == 1 then low, high = 1, check_int(low, 1, "random") else
        low, high = check_int(low, 1, "random"), check_int(high, 2, "random")
    end
    if low > high then fail(n == 1 and 1 or 2, "random", "interval is empty", 3) end
    local width = high - low
    if width >= 0 and width < 0x20000000000000 then
        return low + floor(draw() * (width + 1))
    end
    -- Wider than a float is exact: 64 bits from two draws, taken again until they fall inside.
    for _ = 1, 1000 do
        local bits = (floor(draw() * 0x100000000) << 32) | floor(draw() * 0x100000000)
        if width == -1 then return bits end  -- all 2^64 integers
        local limit = width + 1
        local r = bits & M.maxinteger
        if width == M.maxinteger then return low + r end
        if width > 0 then
            if r < M.maxinteger - M.maxinteger % limit then return low + r % limit end
        elseif not ult(width, bits) then
            return low + bits
        end
    end
    return low
end

function lib_math.randomseed(x)
    local actor = K.current()
    if not actor then error("randomseed: no actor is running", 2) end
    if x == nil then x = floor(K.random() * 0x20000000000000) end
    x = check_number(x, 1, "randomseed")
    actor.state[SEED] = tointeger(x) or (unpack_bits("<i8", pack_bits("<d", x)))
end

-- C functions whose argument errors would name this file are wrapped.
for _, name in raw_ipairs({ "sqrt", "exp", "sin", "cos", "tan", "asin", "acos", "deg", "rad", "modf", "frexp" }) do
    local f = M[name]
    lib_math[name] = function(x)
        if raw_type(x) ~= "number" then x = check_number(x, 1, name) end
        return f(x)
    end
end
function lib_math.log(x, base)
    if base == nil then return M.log(check_number(x, 1, "log")) end
    return M.log(check_number(x, 1, "log"), check_number(base, 2, "log"))
end
function lib_math.atan(y, x)
    return M.atan(check_number(y, 1, "atan"), x == nil and 1 or check_number(x, 2, "atan"))
end
function lib_math.ldexp(x, e) return M.ldexp(check_number(x, 1, "ldexp"), check_int(e, 2, "ldexp")) end

-- string -----------------------------------------------------------------------------------------------------------
local lib_string = {
    find = P.find, match = P.match, gmatch = P.gmatch, gsub = P.gsub,
    sub = N.sub, len = N.len, byte = N.byte, char = N.char, rep = N.rep, format = N.format,
    upper = N.upper, lower = N.lower, reverse = N.reverse,
}

-- Methods of strings. User code sees an empty read-only table as their metatable.
local string_metatable = rawmt("")
string_metatable.__index = {}
for name, f in raw_next, lib_string do string_metatable.__index[name] = f end
string_metatable.__metatable = setmetatable({}, {
    __index = string_metatable.__index,
    __newindex = function() error("attempt to modify the metatable of strings", 2) end,
    __metatable = false,
})

-- package ----------------------------------------------------------------------------------------------------------
local lib_package = { path = "", cpath = "" }
function lib_package.loadlib(name)
    return "cannot load module '" .. N.check_text(name, 1, "loadlib") .. "': loadlib disabled"
end

-- Makes the caller's globals visible through `mod`.
function lib_package.seeall(mod)
    check_table(mod, 1, "seeall")
    local caller = getinfo(2, "fS")
    local env, i = nil, 1
    while caller and caller.source and caller.source:find("^@") do
        local name, value = getupvalue(caller.func, i)
        if name == nil then break end
        if name == "_ENV" then env = value end
        i = i + 1
    end
    local owner = env and rawmt(env)
    if owner == nil or user_metatables[owner] or rawget(env, "_G") == nil then
        error("package.seeall must be called by a function that uses globals", 2)
    end
    local mt = rawmt(mod)
    if mt == nil then
        mt = {}
        set_metatable(mod, mt)
    end
    if not user_metatables[mt] then error("cannot change a protected metatable", 2) end
    mt.__index = env
end

local globals = {
    type = typeof, tonumber = to_number, tostring = K.tostring, assert = assert,
    pairs = pairs_of, ipairs = ipairs_of, next = next_of,
    getmetatable = get_metatable, setmetatable = set_metatable,
    rawget = raw_get, rawset = raw_set, rawequal = rawequal,
    select = select_of, unpack = spread, _VERSION = "Lua 5.3",
    string = lib_string, table = lib_table, math = lib_math, package = lib_package,
}
return globals
