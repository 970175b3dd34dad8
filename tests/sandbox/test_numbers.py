"""Number text, tostring, concatenation, string.format and the bounded byte functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.lua_base import LuaFailed, base_library

run = base_library()
text_of = run("return function(v) return tostring(v) end")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("3/1", "3"),
        ("1e15", "1000000000000000"),
        ("2^53", "9007199254740992"),
        ("2^62", "4611686018427387904"),
        ("2^63", "9.223372036854776e+18"),
        ("1e100", "1e+100"),
        ("-0.0", "0"),
        ("0.1", "0.1"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("1e-5", "1e-05"),
        ("123456.789", "123456.789"),
        ("5e-324", "5e-324"),
        ("1/0", "+Inf"),
        ("-1/0", "-Inf"),
        ("0/0", "NaN"),
        ("math.maxinteger", "9223372036854775807"),
        ("math.mininteger", "-9223372036854775808"),
    ],
)
def test_number_text(value: str, text: str) -> None:
    assert run(f"return tostring({value})") == text.encode()
    assert run(f"return K.cat('', {value})") == text.encode()
    assert run(f"return table.concat({{ {value} }})") == text.encode()
    assert run(f"return string.format('%s', {value})") == text.encode()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_reads_back_and_is_shortest(value: float) -> None:
    text = text_of(value).decode()
    assert float(text) == value
    mantissa = text.split("e")[0].replace(".", "").lstrip("-0")
    if not (abs(value) < 2**63 and value == math.floor(value)):
        assert len(mantissa) <= len(repr(value).split("e")[0].replace(".", "").lstrip("-0"))


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("return K.cat('a', 'b')", b"ab"),
        ("return K.cat('a', 1, 2.0)", b"a12"),
        ("return K.cat(1, 2)", b"12"),
        ("return K.cat('a', 'b', 'c', 1.5, 'd')", b"abc1.5d"),
        ("return K.cat2(1.0, 'x')", b"1x"),
        ("return K.cat3('a', 2.5, 'x')", b"a2.5x"),
    ],
)
def test_concatenation(code: str, result: bytes) -> None:
    assert run(code) == result


def test_concatenation_goes_right_to_left_and_gives_metamethods_the_operands_as_written() -> None:
    code = """
      local seen = {}
      local mt = {}
      mt.__concat = function(a, b)
        seen[#seen + 1] = (math.type(a) or type(a)) .. "," .. (math.type(b) or type(b))
        return "<>"
      end
      local v = setmetatable({}, mt)
      return K.cat(1.5, v), K.cat("a", "b", v), K.cat(v, 1, 2), K.cat("x", v, "y", "z"), table.concat(seen, " ")
    """
    assert run(code) == (b"<>", b"a<>", b"<>", b"x<>", b"float,table string,table table,string table,string")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("local x = K.cat2('a', nil)", "test:1: attempt to concatenate a nil value"),
        ("local x = K.cat3('a', {}, 'b')", "test:1: attempt to concatenate a table value"),
        ("local x = K.cat('a', true, 'b', 'c')", "attempt to concatenate a boolean value"),
        ("local x = K.cat('a', 'b', 'c', nil)", "attempt to concatenate a nil value"),
        ("local x = K.cat(nil, 'a')", "attempt to concatenate a nil value"),
        ("local x = K.cat('a', K.object({}))", "attempt to concatenate a Thing value"),
        ("local x = table.concat({ 1, {}, 3 })", "test:1: invalid value (at index 2) in table for concat"),
        ("local x = string.format('%d', 'x')", "test:1: bad argument #2 to format (number expected, got string)"),
        ("local x = string.format('%d', 1/0)", "number has no integer representation"),
        ("local x = string.format('%d %d', 1)", "test:1: bad argument #3 to format (no value)"),
        ("local x = string.format('%y', 1)", "test:1: invalid conversion '%y' to format"),
        ("local x = string.format('%123d', 1)", "invalid conversion"),
        ("local x = string.format('%q', {})", "value has no literal form"),
        ("local x = string.rep('x', 'y')", "test:1: bad argument #2 to rep (number expected, got string)"),
        ("local x = string.char(256)", "test:1: bad argument #1 to char (value out of range)"),
        ("local x = tostring(setmetatable({}, { __tostring = function() end }))", "'__tostring' must return a string"),
    ],
)
def test_errors(code: str, message: str) -> None:
    with pytest.raises(LuaFailed) as caught:
        run(code)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("string.format('%d %i', 3.0, -3.7)", b"3 -3"),
        ("string.format('%5.1f|%-5s|%5s|%.2s', 2.25, 'ab', 'c', 'xyz')", b"  2.2|ab   |    c|xy"),
        ("string.format('%x %X %o %c %e', 255, 255, 8, 65, 1.5)", b"ff FF 10 A 1.500000e+00"),
        ("string.format('100%%')", b"100%"),
        ("string.format('%s %s %s', nil, true, 1.0)", b"nil true 1"),
        ("string.format('%s', setmetatable({}, { __tostring = function() return 'me' end }))", b"me"),
        ("string.format('%q', 'a\"\\n')", b'"a\\"\\\n"'),
        ("string.format('%q %q', 2.0, nil)", b"2 nil"),
        ("string.format('%d', '10')", b"10"),
        ("string.format('%5s', 'a\\0b')", b"  a\0b"),
        ("string.format('%g', 1e20)", b"1e+20"),
        ("string.sub('hello', 2.7, 4.2)", b"ell"),
        ("string.sub('hello', 2, math.huge)", b"ello"),
        ("string.sub('hello', -3)", b"llo"),
        ("string.rep('ab', 2.9, '-')", b"ab-ab"),
        ("string.rep('ab', -1)", b""),
        ("string.char(72.5, 105)", b"Hi"),
        ("string.upper(12)", b"12"),
        ("string.reverse('abc')", b"cba"),
        ("('x'):rep(3):upper()", b"XXX"),
        ("table.concat({ 1, 2.0, 'x' }, ', ')", b"1, 2, x"),
        ("table.concat({ 'a', 'b', 'c' }, '-', 2.0, 3)", b"b-c"),
        ("table.concat({})", b""),
        ("string.len('abc')", 3),
    ],
)
def test_string_functions(code: str, result: object) -> None:
    assert run(f"return {code}") == result


def test_bytes() -> None:
    assert run("return string.byte('abc', 1, -1)") == (97, 98, 99)
    assert run("return string.byte('abc')") == 97
    assert run("return string.byte('abc', -1)") == 99
    assert run("return select('#', string.byte('abc', 10))") == 0
    assert run("return string.byte('abc', -10, 10)") == (97, 98, 99)


@pytest.mark.parametrize(
    "code",
    [
        "string.rep('x', 1 << 40)",
        "string.rep('x', 10, string.rep('y', 10000000))",
        "string.rep('', 1 << 62, 'x')",
        "(function() local s = ('x'):rep(40000000) return K.cat(s, s) end)()",
        "(function() local s = ('x'):rep(40000000) return K.cat(s, s, s, s) end)()",
        "(function() local s = ('x'):rep(40000000) return table.concat({ s, s }) end)()",
        "(function() local s = ('x'):rep(40000000) return string.format('%s%s', s, s) end)()",
        (
            "(function() local s, t = ('x'):rep(100000), {} for i = 1, 1000 do t[i] = s end "
            "return string.format(('%s'):rep(1000), unpack(t)) end)()"
        ),
        "string.byte(('x'):rep(1000000), 1, -1)",
    ],
)
def test_results_are_bounded(code: str) -> None:
    with pytest.raises(LuaFailed, match=r"too large|too long"):
        run(f"local unpack = table.unpack return {code}")


def test_large_work_is_charged() -> None:
    ticks = run("K.ticks = 0 local s = string.rep('x', 1 << 20) return K.ticks")
    assert ticks >= 4096
    with pytest.raises(LuaFailed, match="killed"):
        run("K.ticks, K.limit = 0, 100000 local s = ('x'):rep(1 << 20) while true do s = s:upper() end")
    run("K.limit = nil")


def test_texts_of_tables_and_functions_do_not_depend_on_addresses() -> None:
    code = "return tostring({}), tostring(print), tostring(coroutine.create(function() end)), tostring(K.object({}))"
    one, two = base_library(), base_library()
    assert one(code) == two(code)
    assert one("local t = {} return tostring(t) == tostring(t), tostring(t) ~= tostring({})") == (True, True)
    assert one("return string.format('%p', {})").startswith(b"0x")
