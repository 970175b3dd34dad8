"""The globals of user code: types, conversion, tables, math. Source: docs lua/core/base."""

from __future__ import annotations

import math

import pytest

from tests.sandbox.lua_base import LuaFailed, base_library

run = base_library()

OFFERED = {
    "string": "find match gmatch gsub upper lower sub len byte char rep reverse format",
    "table": "insert remove concat sort unpack create freeze pack move",
    "math": "pi huge mininteger maxinteger abs min max floor ceil modf fmod sqrt pow exp log log10 sin cos tan asin "
    "acos atan atan2 sinh cosh tanh deg rad random randomseed tointeger type ult",
    "package": "loadlib seeall path cpath",
}


@pytest.mark.parametrize("name", sorted(OFFERED))
def test_every_documented_name_is_there(name: str) -> None:
    for field in OFFERED[name].split():
        assert run(f"return type({name}.{field}) ~= 'nil'"), f"{name}.{field}"


@pytest.mark.parametrize(
    "name",
    [
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "collectgarbage",
        "rawlen",
        "io",
        "debug",
        "utf8",
        "newproxy",
        "getfenv",
        "setfenv",
        "python",
        "warn",
        "string.dump",
        "string.pack",
        "string.unpack",
        "package.loaded",
        "package.preload",
        "package.searchers",
    ],
)
def test_removed_names(name: str) -> None:
    assert run(f"return {name}") is None


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("type(nil), type(1), type('x'), type({}), type(print), type(true)",
         (b"nil", b"number", b"string", b"table", b"nil", b"boolean")),
        ("type(K.object({})), type(setmetatable({}, {}))", (b"userdata", b"table")),
        ("tonumber('10'), tonumber('0x10'), tonumber(' 5.5 '), tonumber('z', 36)", (10.0, 16.0, 5.5, 35.0)),
        ("math.type(tonumber('10')), math.type(tonumber(10))", (b"float", b"integer")),
        ("tonumber('abc'), tonumber(''), tonumber({}), tonumber('9', 8)", (None, None, None, None)),
        ("select('#', nil, nil), select(2, 'a', 'b', 'c')", (2, b"b", b"c")),
        ("select(-1, 'a', 'b')", b"b"),
        ("unpack({ 1, 2, 3 })", (1, 2, 3)),
        ("table.unpack({ 1, 2, 3 }, 2.0, 3)", (2, 3)),
        ("rawequal('a', 'a'), rawget({ x = 1 }, 'x'), rawset({}, 'x', 2).x", (True, 1, 2)),
        ("assert(1, 'no')", (1, b"no")),
        ("pcall(assert, false, 'no')", (False, b"no")),
        ("next({}), next({ 5 })", (None, 1, 5)),
        ("package.loadlib('x'), package.path, package.cpath",
         (b"cannot load module 'x': loadlib disabled", b"", b"")),
        ("math.tointeger(3.0), math.tointeger(3.5), math.tointeger('8')", (3, None, None)),
        ("math.type(1), math.type(1.0), math.type('1')", (b"integer", b"float", None)),
        ("math.ult(1, -1), math.fmod(-7, 3), math.pow(2, 10), math.log10(1000)", (True, -1.0, 1024.0, 3.0)),
        ("math.modf(3.7)", (3.0, pytest.approx(0.7))),
        ("math.floor('3.7'), math.max('10', 9), math.abs(-3)", (3.0, 10.0, 3.0)),
        ("math.floor(-3.5), math.ceil(-3.5), math.min(3, 1, 2)", (-4.0, -3.0, 1.0)),
        ("math.atan2(1, 1), math.atan(1)", (math.pi / 4, math.pi / 4)),
    ],
)  # fmt: skip
def test_values(code: str, result: object) -> None:
    assert run(f"return {code}") == result


@pytest.mark.parametrize("x", [-700.0, -3.0, -0.5, -1e-9, 0.0, 1e-5, 0.3, 0.51, 2.0, 19.0, 300.0, 709.9])
def test_hyperbolic_functions(x: float) -> None:
    got = run(f"return math.sinh({x!r}), math.cosh({x!r}), math.tanh({x!r})")
    assert got == pytest.approx((math.sinh(x), math.cosh(x), math.tanh(x)), rel=4e-15)


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("local t = { 'a' } table.insert(t, 'b') table.insert(t, 1, 'z') return table.concat(t)", b"zab"),
        ("local t = { 1, 2, 3 } table.insert(t, 2.0, 9) return unpack(t)", (1, 9, 2, 3)),
        ("local t = { 1, 2, 3 } return table.remove(t), table.remove(t, 1), #t", (3, 1, 1)),
        ("return table.remove({}), table.remove({ 1 }, 5)", (None, None)),
        ("local t = { 3, 1, 2 } table.sort(t) return unpack(t)", (1, 2, 3)),
        ("local t = { 'b', 'a' } table.sort(t) return unpack(t)", (b"a", b"b")),
        ("local t = { 1, 3, 2 } table.sort(t, function(a, b) return a > b end) return unpack(t)", (3, 2, 1)),
        ("local t = table.create(3, 0) t[1] = 5 return #t, t[1]", (1, 5)),
        ("local t = table.move({ 1, 2, 3 }, 1, 3, 2) return unpack(t)", (1, 1, 2, 3)),
        ("local t = table.pack(1, nil) return t.n", 2),
        ("local n = 0 for i, v in ipairs({ 5, 6 }) do n = n + i * v end return n", 17),
        ("local n = 0 for k, v in pairs({ 5, 6, x = 1 }) do n = n + v end return n", 12),
        (("local t = setmetatable({}, { __pairs = function() return function(_, k) return not k and 7 or nil end end })"
         "for k in pairs(t) do return k end"), 7),
        ("local t = { 1, 2, 3 } for k in pairs(t) do t[k] = nil end return next(t)", None),
    ],
)  # fmt: skip
def test_tables(code: str, result: object) -> None:
    assert run(code) == result


def test_sort_is_stable_and_survives_any_comparator() -> None:
    code = """
      local t = {}
      for i = 1, 100 do t[i] = { i % 3, i } end
      table.sort(t, function(a, b) return a[1] < b[1] end)
      for i = 2, 100 do
        if t[i - 1][1] > t[i][1] or t[i - 1][1] == t[i][1] and t[i - 1][2] > t[i][2] then return i end
      end
      return true
    """
    assert run(code) is True
    for comparator in ("true", "false", "nil", "K.draw_next() < 0.5"):
        counted = f"""
          local k = 0
          K.draw_next = function() k = (k * 1103515245 + 12345) % 2147483648 return k / 2147483648 end
          local t, sum = {{}}, 0
          for i = 1, 200 do t[i] = i end
          table.sort(t, function(a, b) return {comparator} end)
          for i = 1, 200 do sum = sum + t[i] end
          return sum
        """
        assert run(counted) == 20100


def test_a_comparator_may_yield() -> None:
    code = """
      local co = coroutine.wrap(function()
        local t = { 3, 1, 2 }
        table.sort(t, function(a, b) coroutine.yield() return a < b end)
        return table.concat(t)
      end)
      local r repeat r = co() until r
      return r
    """
    assert run(code) == b"123"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("local x = tonumber()", "test:1: bad argument #1 to tonumber (value expected)"),
        ("local x = tonumber('1', 99)", "test:1: bad argument #2 to tonumber (base out of range)"),
        ("local x = pairs(nil)", "test:1: bad argument #1 to pairs (table expected, got nil)"),
        ("local x = ipairs(K.object({}))", "test:1: bad argument #1 to ipairs (table expected, got userdata)"),
        ("table.insert(nil, 1)", "test:1: bad argument #1 to insert (table expected, got nil)"),
        ("table.insert({}, 1, 2, 3)", "test:1: wrong number of arguments to insert"),
        ("table.insert({})", "test:1: wrong number of arguments to insert"),
        ("table.sort({ 1, 'a' })", "test:1: attempt to compare string with number"),
        ("table.sort({ {}, {} })", "test:1: attempt to compare two table values"),
        ("table.sort({ 1, 2 }, 5)", "test:1: bad argument #2 to sort (function expected, got number)"),
        ("local x = select(0)", "test:1: bad argument #1 to select (index out of range)"),
        ("setmetatable({}, 5)", "test:1: bad argument #2 to setmetatable (nil or table expected, got number)"),
        ("setmetatable(5, {})", "test:1: bad argument #1 to setmetatable (table expected, got number)"),
        ("local x = unpack({}, 1, 1e8)", "test:1: too many results to unpack"),
        ("local x = unpack({}, math.mininteger, math.maxinteger)", "too many results to unpack"),
        ("local x = table.create(1e9)", "sizes go from 0"),
        ("local x = math.floor({})", "test:1: bad argument #1 to floor (number expected, got table)"),
        ("local x = math.sin('x')", "test:1: bad argument #1 to sin (number expected, got string)"),
        ("local x = math.random(5, 1)", "test:1: bad argument #2 to random (interval is empty)"),
        ("local x = 1 // 0", "attempt to divide by zero"),
    ],
)
def test_errors(code: str, message: str) -> None:
    with pytest.raises(LuaFailed) as caught:
        run(code)
    assert message in str(caught.value)


def test_random_comes_from_the_run_until_it_is_seeded() -> None:
    lua = base_library()
    assert lua("local n = 0 K.draw = function() n = n + 0.25 return n - 0.25 end return math.random(), "
               "math.random(8), math.random(10, 13)") == (0.0, 3, 12)  # fmt: skip
    seeded = (
        "math.randomseed(42) return math.random(1000), math.random(), math.random(math.mininteger, math.maxinteger)"
    )
    assert lua(seeded) == base_library()(seeded) == lua(seeded)
    for low, high in (("1", "1"), ("0", "1"), ("math.mininteger", "0"), ("1", "math.maxinteger"), ("-5", "5")):
        code = f"local a, b = {low}, {high} for i = 1, 50 do local r = math.random(a, b) if r < a or r > b or "
        assert lua(code + "math.type(r) ~= 'integer' then return r end end return true") is True


def test_freeze() -> None:
    code = """
      local log = {}
      local Point = { x = 1, 10, 20 }
      local frozen = table.freeze(Point)
      log[1] = tostring(frozen == Point)
      log[2] = (select(2, pcall(function() Point.x = 2 end)))
      log[3] = tostring(pcall(rawset, Point, "x", 2))
      log[4] = tostring(pcall(table.insert, Point, 5))
      log[5] = tostring(pcall(table.sort, Point))
      log[6] = table.concat({ Point.x, #Point, Point[1], rawget(Point, "x"), table.concat(Point, "+") }, " ")
      local n = 0
      for k, v in pairs(Point) do n = n + v end
      for i, v in ipairs(Point) do n = n + v end
      log[7] = tostring(n)
      log[8] = tostring(next(Point) ~= nil)
      log[9] = tostring(table.isfrozen(Point)) .. tostring(table.isfrozen({}))
      return table.concat(log, "\\n")
    """
    assert run(code).decode().split("\n") == [
        "true", "test:6: attempt to modify a frozen table (field 'x')", "false", "false", "false",
        "1 2 10 1 10+20", "61", "true", "truefalse",
    ]  # fmt: skip


def test_a_frozen_table_works_as_class_and_keeps_its_own_metatable() -> None:
    code = """
      local Class = {}
      Class.__index = Class
      function Class.hello(self) return "hello " .. self.name end
      table.freeze(Class)
      local o = setmetatable({ name = "me" }, Class)
      local p = table.freeze(setmetatable({ 1 }, { __index = { y = 5 }, __call = function() return "called" end }))
      return o:hello(), getmetatable(o) == Class, p.y, p(), getmetatable(p).__index.y,
        pcall(function() getmetatable(o).hello = nil end)
    """
    got = run(code)
    assert got[:5] == (b"hello me", True, 5, b"called", 5)
    assert got[5] is False


def test_seeall_shows_the_callers_globals() -> None:
    assert run("local m = {} package.seeall(m) answer = 42 return m.answer, m.marker") == (42, True)


def test_lying_lengths_are_counted() -> None:
    for code in (
        "table.insert(t, 1, 5)", "table.remove(t, 1)", "table.sort(t)", "return table.concat(t)",
    ):  # fmt: skip
        with pytest.raises(LuaFailed, match=r"killed|too l"):
            run("K.ticks, K.limit = 0, 100000 local t = setmetatable({}, { __len = function() return 1 << 60 end,"
                f" __index = function() return 'x' end }}) {code}")  # fmt: skip
        run("K.limit = nil")
