"""What is fuzzed: a name, inputs to start from, and a function that takes bytes.

The pact of a target: every input is either accepted (it returns) or refused with one of `refusals`. Anything else, and
anything slower than the time limit of `run.py`, is a finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import attrs

from fuzz.checks import check_expression, check_http, check_source, check_values, check_wire, check_yaml
from sandbox.errors import LuaError
from sandbox.types import SourceError
from sandbox.values import Boxed, Handle, Payload, pack
from wippy_trio.core.errors import ConfigError
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.core.units import parse_duration_ns
from wippy_trio.text.expression import ExpressionError
from wippy_trio.workflows.wire_codec import KINDS

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to fuzz. `tokens` are pieces its language knows, spliced into inputs."""

    name: str
    run: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]


_SOME = {"int": 1, "bool": True, "float": 1.5, "bytes": b"\x91\x01", "str": "x"}


@cache
def _loader() -> Callable[[str], tuple[Any, Any]]:
    """Lua's own `load`, text mode only: the judge of what the front end emits."""
    from lupa.lua55 import LuaRuntime

    runtime = LuaRuntime(register_eval=False, register_builtins=False, max_memory=64 << 20)
    load: Callable[[str], Any] = runtime.eval("function(text) return load(text, '@fuzz', 't', {}) end")
    return lambda text: _pair(load(text))


def _pair(loaded: Any) -> tuple[Any, Any]:
    return loaded if isinstance(loaded, tuple) else (loaded, None)


def _front_end(data: bytes) -> None:
    """What the front end accepts, Lua must accept too."""
    text = check_source(data)
    if len(text) > 200_000:
        return  # Lua's own limits (registers, constants, nesting) are not the front end's
    function, problem = _loader()(text)
    if function is None and not any(limit in str(problem) for limit in _LUA_LIMITS):
        message = f"accepted by the front end, refused by Lua: {problem}\n{text}"
        raise AssertionError(message)


#: Limits of the Lua compiler that a source may run into after it was understood.
_LUA_LIMITS = ("too many", "overflow", "too complex", "limit")


def _entry_id(data: bytes) -> None:
    """What is read prints and reads again as the same."""
    entry_id = EntryId.parse(data.decode("utf-8", "replace"), "app")
    assert EntryId.parse(str(entry_id)) == entry_id


def _pid(data: bytes) -> None:
    """What is read prints and reads again as the same."""
    pid = Pid.parse(data.decode("utf-8", "replace"))
    assert Pid.parse(str(pid)) == pid


_VALUES = tuple(
    pack(value)
    for value in (
        [None, True, -1, 2**40, 1.5, "text", b"\xff\xfe", {"a": [1, {"b": None}]}],
        [LuaError("no", kind="Invalid", retryable=False, details={"a": 1}, context=("x",)), Payload("v", "json", b"1")],
        [Handle("db", 3), Boxed("time.Time", 5), {"": "", "k": [[[]]]}, -(2**63), 2**63 - 1],
    )
)
#: A record of each kind, with as many fields as the seeds need.
_RECORDS = tuple(
    pack([kind, {field.name: _SOME.get(str(field.type).partition(" ")[0], "x") for field in attrs.fields(owner)}])
    for kind, owner in sorted(KINDS.items())
)
_PIECES = (
    *(b"\x80", b"\x90", b"\xc0", b"\xc4\x01", b"\xc7\x01\x01", b"\xcb", b"\xcf", b"\xd3", b"\xdf", b"\xff"),
    b"\x81\xa1a",
)

TARGETS = (
    Target(
        "types",
        _front_end,
        (SourceError,),
        (
            b"local function add(a: number, b: number): number\n  return a + b\nend\nreturn add",
            b"type Point = {x: number, y: number, name?: string}\nlocal p: Point = {x = 1, y = 2}\nreturn Point:is(p)",
            b"type Id<T> = T | nil\nlocal x: Id<string> = nil\nlocal y = x :: string\nreturn y as string",
            b"interface Shape\n  area: (self) -> number\nend\nlocal f = fun(a: Shape): number\nreturn f",
            b"for i = 1, 10, 2 do\n  if i % 2 == 0 then goto continue end\n  print(i .. '')\n  ::continue::\nend",
            b"local t = {[1] = 'a', b = [[long]], 'c'; d = function(...) return ... end}\nreturn #t, t.b:upper()",
            b"while true do repeat local x <const> = 0x1p4 until x ~= 1e3 break end return -2 ^ 3 // 4 & ~5 << 1",
            b"--[==[ comment ]==]\nlocal a, b <close> = 1\nreturn function(x: {number}, y: (string) -> (A, B)) end",
        ),
        (
            *b"local function end do if then else elseif while for in repeat until return break goto type".split(),
            *b"interface extends as asserts readonly is typeof keyof fun nil true false and or not".split(),
            *b":: : ? ! -> => | & ( ) [ ] { } < > , ; . .. ... = == ~= <= >= + - * / // % ^ # ~ << >>".split(),
            *(b"[[", b"]]", b"--[[", b"--", b"'", b'"', b"\\x", b"\\u{", b"0x", b"1e", b"\n", b"\x00", b"\xff"),
        ),
    ),
    Target(
        "yaml",
        check_yaml,
        (ConfigError,),
        (
            b'version: "1.0"\nnamespace: app\nentries:\n  - name: hello\n    kind: function.lua\n    source: file://a.lua\n',
            b"a: &x {k: [1, 2.5, 0x1f, 1e3, no, yes, ~, null]}\nb: *x\nc:\n  <<: *x\n  d: |\n    text\n  e: >-\n",
            b"- 2026-01-01\n- 1:20\n- !!binary aGVsbG8=\n- !!str 1\n- 'it''s'\n- \"a\\tb\\u00e9\"\n",
            b'{"json": [1, 2, {"a": null}], "b": 1e9}',
        ),
        (
            *b": - ? & * ! | > ' \" % @ ` { } [ ] , # << --- ... !!binary !!int !!float !!str ~ .inf .nan".split(),
            *(b"\n", b"\n  ", b"\t", b"&a ", b"*a", b"<<: *a\n", b"\xef\xbb\xbf", b"\x00", b"\xff"),
        ),
    ),
    Target(
        "expression",
        check_expression,
        (ExpressionError,),
        (
            b"user.age >= 18 and 'admin' in user.roles",
            b"filter(xs, # > 1) | map(# * 2) | sum()",
            b"let a = n ?? 3; a > 2 ? s[0:2] + 'x' : {'k': [1, 2.5, -3]}['k'][0]",
            b"s matches '^t' or not (user?.name contains 'n') and 1..5 == [1, 2, 3, 4, 5]",
        ),
        (
            *b"and or not in matches contains startsWith endsWith let ?? ?. ? : | # .. ** % == != <= >=".split(),
            *b"map( filter( all( any( one( none( sum( len( sort( groupBy( reduce( now() ( ) [ ] { } , ; .".split(),
        ),
    ),
    Target("duration", lambda data: parse_duration_ns(data.decode("utf-8", "replace")), (LuaError,), (b"1h2m3.5s",), (
        *b"1 0 . - + h m s ms us ns 99999999999999999999 d w".split(),
    )),
    Target("entry id", _entry_id, (LuaError,), (b"app:name", b"name", b"a.b:c:d"), (b":", b"", b".", b"\xff")),
    Target("pid", _pid, (LuaError,), (b"{node@host|0x1}", b"{host|1}"), (b"{", b"}", b"|", b"@", b"\xff")),
    Target("values", check_values, (ValueError, TypeError, AttributeError, LookupError, LuaError), _VALUES, _PIECES),
    Target("wire", check_wire, (ValueError, TypeError, AttributeError, LookupError, LuaError), _RECORDS, _PIECES),
    Target(
        "http",
        check_http,
        (),
        (
            b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /next HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n",
            b"PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
            b"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        ),
        (
            *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b"\x00", b"\xff", b"0\r\n\r\n", b"%2e%2e", b"//"),
            *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: y\r\n"),
            *(b"HTTP/1.1", b"HTTP/2", b"GET ", b"POST ", b"http://h/", b"chunked", b"ffffffffffffffff\r\n"),
            b"Upgrade: x",
        ),
    ),
)
