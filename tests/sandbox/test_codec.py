"""Values across the border: Lua -> Python -> Lua, and the copy between actors, which must equal the round trip."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.values import Boxed, Handle, Payload, pack, pack_list, unpack
from tests.sandbox.kernel_base import Bench
from wippy_trio.core.errors import LuaError

_INT64 = st.integers(-(2**63), 2**63 - 1)
_FLOAT = st.floats(allow_nan=False)
_SCALAR = st.one_of(st.booleans(), _INT64, _FLOAT, st.text(), st.binary())
_KEY = st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.binary())
_VALUE = st.recursive(
    _SCALAR, lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(_KEY, inner, max_size=20)), max_leaves=40
)

ECHO = Bench()
_echo = ECHO.start("local inbox = t.inbox() while true do t.wait(inbox:receive():payload():data()) end")
ECHO.settle()
SAME = Bench()
_same = SAME.start("""
    local listen = t.listen("x")
    while true do
      local v = listen:receive()
      local copy, coded = t.copy(v), t.decode(t.encode(v))
      t.wait(copy, coded[1])
    end
""")
SAME.settle()


def plain(value: Any) -> Any:
    """What Lua makes of a value: bytes that are text are text, an array is a list, the empty table is a dict."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, list):
        return [plain(item) for item in value] if value else {}
    if isinstance(value, dict):
        made = {plain(key): plain(item) for key, item in value.items()}
        if made and sorted(made, key=str) == sorted(range(1, len(made) + 1), key=str):
            return [made[at] for at in range(1, len(made) + 1)]
        return made
    return value


def through(bench: Bench, actor: int, topic: str, value: Any) -> list[Any]:
    """Send a value in, and take what comes out of `t.wait`."""
    assert bench.deliver(actor, topic, value) == 0
    _, values = bench.waiting.popitem()
    bench.vm.resolve(actor, _[1], 0, pack_list([True]))
    bench.settle()
    return values


@given(_VALUE)
@settings(max_examples=40, deadline=None)
def test_python_lua_python(value: Any) -> None:
    assert through(ECHO, _echo, "any", value) == [plain(value)]


@given(_VALUE)
@settings(max_examples=40, deadline=None)
def test_a_copy_equals_a_round_trip(value: Any) -> None:
    copy, coded = through(SAME, _same, "x", value)
    assert copy == coded == plain(value)


@given(_FLOAT | st.just(math.nan), _INT64)
@settings(max_examples=30, deadline=None)
def test_numbers_keep_their_type(number: float, whole: int) -> None:
    [got] = through(ECHO, _echo, "any", [number, whole])
    assert isinstance(got[0], float)
    assert isinstance(got[1], int)
    assert got[0] == number or (math.isnan(number) and math.isnan(got[0]))
    assert math.copysign(1, got[0]) == math.copysign(1, number) or math.isnan(number)


@pytest.mark.parametrize("length", [0, 31, 32, 255, 256, 65535, 65536, 70000])
def test_lengths_at_the_borders_of_the_format(length: int) -> None:
    bench = Bench()
    assert bench.run("return (...)", "x" * length) == "x" * length
    assert bench.run("return (...)", b"\xff" * length) == (b"\xff" * length or "")
    assert bench.run("return (...)", list(range(length))) == (list(range(length)) or {})
    assert bench.run("return (...)", {f"k{at}": at for at in range(length)}) == {f"k{at}": at for at in range(length)}


@pytest.mark.parametrize("value", [0, 127, 128, 65535, 65536, 2**31, 2**32, 2**63 - 1, -1, -32, -33, -(2**31), -(2**63)])
def test_integers_at_the_borders_of_the_format(value: int) -> None:
    assert Bench().run("local v = ... return { v, math.type(v) }", value) == [value, "integer"]


def test_an_integer_beyond_lua_is_the_nearest_float_or_refused() -> None:
    assert Bench().run("local v = ... return { v, math.type(v) }", 2**63) == [float(2**63), "float"]
    with pytest.raises(LuaError, match="cannot be passed to Lua"):
        pack(2**64)


def test_many_arguments() -> None:
    assert Bench().run("return select('#', ...)", *range(300)) == 300
    assert Bench().run("return select('#', ...)", *range(70_000)) == 70_000


def test_keys_that_lua_cannot_have_are_left_out() -> None:
    assert Bench().run("return (...)", {None: 1, math.nan: 2, "a": 3}) == {"a": 3}
    assert Bench().run("local t = { [1.5] = 'f', [true] = 'b', x = 'x' } t[{}] = 1 t[tostring] = 2 return t") == {
        1.5: "f",
        True: "b",
        "x": "x",
    }


def test_what_crosses_as_nil() -> None:
    bench = Bench()
    assert bench.run("return { f = tostring, c = coroutine.create(tostring), ch = channel.new(), ok = 1 }") == {"ok": 1}
    assert bench.run("return { 1, tostring, 3 }") == [1, None, 3]
    assert bench.run("local c = t.copy({ 1, tostring, 3, f = tostring }) return { c[1], c[2] == nil, c[3], c.f == nil }") == [
        1,
        True,
        3,
        True,
    ]


def test_a_value_that_refers_to_itself_is_refused() -> None:
    bench = Bench()
    for body in ("local t = {} t.t = t return t", "local t = {} t[1] = t return t"):
        with pytest.raises(LuaError, match="nested deeper than 128 levels or refers to itself"):
            bench.run(body)
    assert bench.run("local t = {} t.t = t return select(2, pcall(t_copy or require('t').copy, t))").startswith("value is nested")
    deep = "local t = {} for i = 1, %d do t = { t } end return #t"
    assert bench.run("local t = {} for i = 1, 126 do t = { t } end return type(require('t').copy(t))") == "table"
    assert bench.run(deep % 10_000) == 1


def test_deep_values_from_python_arrive() -> None:
    value: Any = "bottom"
    for _ in range(100):
        value = [value]
    assert Bench().run("local v, n = ..., 0 while type(v) == 'table' do v, n = v[1], n + 1 end return { v, n }", value) == [
        "bottom",
        100,
    ]


def test_metatables_do_not_cross_nor_speak() -> None:
    bench = Bench()
    assert bench.run("""
        local v = setmetatable({ a = 1 }, { __len = function() return 99 end, __index = function() return "x" end,
          __pairs = function() error("asked") end })
        local frozen = table.freeze({ 1, { 2 } })
        return { v, frozen, require("t").copy(v).zzz == nil }
    """) == [{"a": 1}, [1, [2]], True]


def test_errors_cross_whole() -> None:
    error = LuaError("m", kind="Conflict", retryable=False, details={"a": [1]}, stack="s", context=("outer", "inner"))
    back = unpack(pack(error))
    for made in (back, Bench().run("return { e = (...) }", error)["e"], Bench().run("return { e = t.copy((...)) }", error)["e"]):
        assert (str(made), made.kind, made.retryable, made.details, made.stack) == (
            "outer: inner: m",
            "Conflict",
            False,
            {"a": [1]},
            "s",
        )


def test_the_copy_of_an_error_shares_nothing() -> None:
    assert Bench().run("""
        local e = errors.new({ message = "m", details = { n = 1 } })
        local c = t.copy(e)
        c:details().n = 2
        return { e:details().n, rawequal(e, c), c == e }
    """) == [1, False, True]


def test_payloads_boxes_and_handles() -> None:
    payload = unpack(pack(Payload([1], "json/plain", "[1]")))
    assert (payload.value, payload.format, payload.raw) == ([1], "json/plain", "[1]")
    assert unpack(pack(Boxed("Time", 5))) == Boxed("Time", 5)
    assert repr(Boxed("Time", 5)) == "Boxed('Time', 5)"
    handle = unpack(pack(Handle("DB", 7)))
    assert (handle.class_name, handle.id) == ("DB", 7)
    # Lua does not know these classes: the first is its plain value, the second nothing.
    assert Bench().run("return { (...) }", Boxed("Nobody", 5)) == [5]
    assert Bench().run("return { x = (...), n = select('#', ...) }", Handle("Nobody", 1)) == {"n": 1}


def test_sets_views_and_mappings_are_plain_in_lua() -> None:
    assert unpack(pack({"s": {2, 1}, "b": bytearray(b"\xff"), "t": (1, 2)})) == {"s": [1, 2], "b": b"\xff", "t": [1, 2]}
