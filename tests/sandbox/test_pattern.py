"""string.find, match, gmatch, gsub: the own matcher equals C's, and nothing runs away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa.lua55 import LuaRuntime

from tests.sandbox.lua_base import LuaFailed, base_library

_COMPARE = """
local T, find, gsub = K.pattern_test, string.find, string.gsub
local function anchored(p) return p:sub(1, 1) == "^" end
local function clean(ok, ...)
  if ok then return true, ... end
  local problem = (...)
  return false, (K.raw_gsub(problem, "^[^:]*:%d+: ", ""))
end
function own(what, s, p, extra)
  local program = T.compile(p, (anchored(p) and what ~= "gmatch") and 2 or 1, anchored(p) and what ~= "gmatch")
  program.nmax = -1
  if what == "find" then return clean(pcall(T.found, program, s, extra, false)) end
  if what == "match" then return clean(pcall(T.found, program, s, extra, true)) end
  if what == "gsub" then return clean(pcall(T.substitute, program, s, p, extra, "string", #s + 1)) end
  local state, at, last, out = T.new_state(program, s), 1, nil, {}
  return clean(pcall(function()
    while true do
      local a, e = T.search(program, state, at, last)
      if not a then break end
      at, last = e, e
      out[#out + 1] = table.pack(T.captures_of(program, state, a, e, true))
    end
    for i, v in ipairs(out) do out[i] = table.concat(v, "\\1", 1, v.n) end
    return table.concat(out, "\\2")
  end))
end
return own
"""
_C = b"""
local unpack, pack, concat = table.unpack, table.pack, table.concat
local function clean(ok, ...)
  if ok then return true, ... end
  return false, (string.gsub((...), "^[^:]*:%d+: ", ""))
end
return function(what, s, p, extra)
  if what == "find" then return clean(pcall(string.find, s, p, extra)) end
  if what == "match" then return clean(pcall(string.match, s, p, extra)) end
  if what == "gsub" then return clean(pcall(string.gsub, s, p, extra)) end
  return clean(pcall(function()
    local out, next = {}, string.gmatch(s, p)
    while true do
      local v = pack(next())
      if v[1] == nil then break end
      out[#out + 1] = concat(v, "\\1", 1, v.n)
    end
    return concat(out, "\\2")
  end))
end
"""

run = base_library()
run("K.raw_gsub = string.gsub")
own: Callable[..., Any] = run(_COMPARE)
_lua = LuaRuntime(encoding=None, register_eval=False, register_builtins=False, unpack_returned_tuples=True)
c_matcher: Callable[..., Any] = _lua.execute(_C)

_singles = st.sampled_from(
    [
        "a",
        "b",
        "c",
        ".",
        "%a",
        "%d",
        "%s",
        "%w",
        "%A",
        "%.",
        "%%",
        "[ab]",
        "[^a]",
        "[a-c]",
        "[%d_]",
        "[]]",
        "[^]b]",
        "[%]]",
        "[a-]",
        "(",
        ")",
        "-",
        "$",
        "^",
        " ",
        "1",
        "_",
        "\\0",
        "%z",
        "[%a%s]",
        "%x",
        "%p",
        "]",
    ]
)
_items = st.one_of(
    st.tuples(_singles, st.sampled_from(["", "", "*", "+", "-", "?"])).map("".join),
    st.sampled_from(["(", ")", "()", "%b()", "%bab", "%baa", "%f[%a]", "%f[^a]", "%f[%z]", "%1", "%2", "$", "^"]),
    st.sampled_from(["%", "[a", "%b(", "%f", "%0", ".-", ".*", "(.-)", "(a*)", "([ab]+)", "(%w+)", "%s*"]),
)
_balanced = st.recursive(
    st.lists(_items, max_size=3).map("".join), lambda inner: inner.map(lambda p: f"({p})"), max_leaves=3
)
_patterns = st.builds(
    lambda start, parts, end: start + "".join(parts) + end,
    st.sampled_from(["", "", "", "^"]),
    st.lists(st.one_of(_items, _balanced), max_size=5),
    st.sampled_from(["", "", "", "$"]),
)
_subjects = st.text(alphabet="aabbc1 _()%.-]\0", max_size=12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(_subjects, _patterns, st.integers(-3, 14))
def test_find_and_match_equal_c(subject: str, pattern: str, init: int) -> None:
    s, p = subject.encode(), pattern.encode()
    start = 1 if init == 0 else init
    if start < 0:
        start = max(1, len(s) + start + 1)
    start = min(start, len(s) + 1)
    for what in (b"find", b"match"):
        if what == b"find" and not set(pattern) & set("^$*+?.([%-"):
            continue  # plain text for C
        assert own(what, s, p, start) == c_matcher(what, s, p, start)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(_subjects, _patterns, st.sampled_from(["", "x", "<%0>", "%1", "%1%2", "%%", "%", "%9"]))
def test_gsub_and_gmatch_equal_c(subject: str, pattern: str, replacement: str) -> None:
    s, p = subject.encode(), pattern.encode()
    assert own(b"gmatch", s, p) == c_matcher(b"gmatch", s, p)
    assert own(b"gsub", s, p, replacement.encode()) == c_matcher(b"gsub", s, p, replacement.encode())


@settings(max_examples=50, deadline=None, derandomize=True)
@given(_subjects, _patterns)
def test_a_callback_sees_what_c_would_give_it(subject: str, pattern: str) -> None:
    try:
        expected = c_matcher(b"gmatch", subject.encode(), pattern.encode())
    except Exception:  # noqa: BLE001
        return
    if not expected[0] or pattern.startswith("^"):
        return
    source = """return function(s, p)
      local out = {}
      s:gsub(p, function(...)
        local v = table.pack(...)
        for i = 1, v.n do v[i] = tostring(v[i]) end
        out[#out + 1] = table.concat(v, "\\1", 1, v.n)
      end)
      return table.concat(out, "\\2")
    end"""
    assert run(source)(subject.encode(), pattern.encode()) == expected[1]


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ('return string.find("hello world", "o w")', (5, 7)),
        ('return string.find("a.b", ".", 1, true)', (2, 2)),
        ('return string.find("hello", "l", -2.9)', (4, 4)),
        ('return string.find("abc", "")', (1, 0)),
        ('return string.find("abc", "", 10)', None),
        ('return string.match("key=value", "(%w+)=(%w+)")', (b"key", b"value")),
        ('return string.match("  trim me  ", "^%s*(.-)%s*$")', b"trim me"),
        ('return string.match(2024, "%d%d$")', b"24"),
        ('return string.gsub("abc", "%w", "%0%0")', (b"aabbcc", 3)),
        ('return string.gsub("abc", "", "-")', (b"-a-b-c-", 4)),
        ('return string.gsub("abc", "b", "%%")', (b"a%c", 1)),
        ('return string.gsub("a b", "%a", { a = 1.0, b = false })', (b"1 b", 2)),
        ('return string.gsub("abc", "%w", string.upper, 2)', (b"ABc", 2)),
        ('return ("x"):rep(3):gsub("x", "y")', (b"yyy", 3)),
        (('local t = {} for k, v in ("a=1,b=2"):gmatch("(%w)=(%w)") do t[#t + 1] = k .. v end '
         'return table.concat(t, " ")'), b"a1 b2"),
    ],
)  # fmt: skip
def test_common_uses(code: str, result: object) -> None:
    assert run(code) == result


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('return ("a"):find("[a")', "test:1: malformed pattern (missing ']')"),
        ('return ("a"):match("%")', "test:1: malformed pattern (ends with '%')"),
        ('return ("a"):gsub("a", "%2")', "test:1: invalid capture index %2"),
        ('return ("a"):gsub("a", "%x")', "test:1: invalid use of '%' in replacement string"),
        ('return ("a"):gsub("a", nil)', "bad argument #3 to gsub (string/function/table expected, got nil)"),
        ('return ("a"):gsub("a", function() return {} end)', "invalid replacement value (a table)"),
        ('return ("a"):gsub("a", K.object({}))', "got userdata)"),
        ("return string.find(nil, 'a')", "test:1: bad argument #1 to find (string expected, got nil)"),
        ("return string.find('a', {})", "test:1: bad argument #2 to find (string expected, got table)"),
        ('return ("a"):find(("a?"):rep(300))', "pattern too complex"),
        ('return ("a"):find(("[ab]"):rep(3000))', "pattern too complex"),
    ],
)
def test_errors_name_the_caller(code: str, message: str) -> None:
    with pytest.raises(LuaFailed) as caught:
        run(code.replace("return ", "local result = ", 1))  # a tail call would hide the line
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        's:find(".-.-b")',
        's:find("a.-a.-a.-b")',
        's:match("(a*)*b%1")',
        's:match("^(a*)(a*)(a*)(a*)b$")',
        's:gsub("a-a-b", "")',
        's:gsub("a-a-b", function() end)',
        'for _ in s:gmatch("a*a*b") do end',
        's:find(s:sub(1, 500000) .. "b", 1, true)',
        "s = s:gsub('a', '('):find('%b()')",
        's:find("(a+)%1b")',
    ],
)
def test_what_runs_away_is_killed(code: str) -> None:
    with pytest.raises(LuaFailed, match="killed"):
        run(f'K.ticks, K.limit = 0, 100000 local s = ("a"):rep(1000000) {code} K.limit = nil')
    run("K.limit = nil")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ('return select(2, text:gsub("%s+", " "))', 20000),
        ('local n = 0 for _ in text:gmatch("[^\\n]*") do n = n + 1 end return n', 10001),
        ('return text:match("(.-)b")', None),
        ('return text:find("%s+$")', (100000, 100000)),
        ('local n = 0 for _ in text:gmatch("(.-)\\r?\\n") do n = n + 1 end return n', 10000),
        ('return #text:match("^%s*(.-)%s*$")', 99999),
        ('return select(2, text:gsub("(%w+) (%w+)", "%2 %1"))', 10000),
        ('return text:find("^.*/(.*)$")', None),
        ('return select(2, text:gsub("\\r?\\n", ""))', 10000),
        ('return text:find("xy c", 1, true)', None),
    ],
)
def test_large_texts_stay_cheap(code: str, result: object) -> None:
    source = f'K.ticks, K.limit = 0, 3000000 local text = ("word word\\n"):rep(10000) {code}'
    assert run(source) == result
    run("K.limit = nil")


def test_a_callback_may_yield() -> None:
    code = """
      local co = coroutine.create(function() return (("abc"):gsub("%w", function(c) return coroutine.yield(c) end)) end)
      local seen = {}
      local ok, v = coroutine.resume(co)
      while coroutine.status(co) ~= "dead" do
        seen[#seen + 1] = v
        ok, v = coroutine.resume(co, v:upper())
      end
      return table.concat(seen), v
    """
    assert run(code) == (b"abc", b"ABC")


def test_replacements_cannot_grow_without_bound() -> None:
    with pytest.raises(LuaFailed, match="too large"):
        run('return ("a"):rep(100000):gsub("a", ("b"):rep(100000))')
    with pytest.raises(LuaFailed, match="too large"):
        run('local r = ("b"):rep(100000) return ("a"):rep(100000):gsub("a", function() return r end)')
