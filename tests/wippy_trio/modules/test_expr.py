from __future__ import annotations

from typing import Any

import pytest


async def test_values_cross(lua: Any) -> None:
    source = r"""
        local expr = require('expr')
        return {
          expr.eval('price * quantity', {price = 2.5, quantity = 2}),
          expr.eval('"admin" in roles', {roles = {'admin'}}),
          expr.eval('map(users, .name)', {users = {{name = 'a'}, {name = 'b'}}})[2],
          expr.eval('{"a": [1, nil]}').a[1], #expr.eval('s + "x"', {s = '\255'}), expr.eval('len(none)', {none = {}}),
          expr.eval('missing', {}) == nil, expr.eval('now().Year()'), expr.eval('date("1970-01-02")'),
          expr.eval('xs[0] + xs[-1]', {xs = {1, 2, 3}}), expr.eval('7 / 2'), expr.eval('4 / 2'),
        }
    """
    assert await lua(source, modules=["expr"]) == [5.0, True, "b", 1, 2, 0, True, 2026, 86400, 4, 3.5, 2]


async def test_programs(lua: Any) -> None:
    source = """
        local expr = require('expr')
        local program, problem = expr.compile('a > 1 ? "big" : "small"', {a = 0})
        return {program:run({a = 2}), program:run({a = 1}), problem == nil, type(program), tostring(program),
          expr.compile('2 + 2'):run()}
    """
    assert await lua(source, modules=["expr"]) == ["big", "small", True, "userdata", "expr.Program", 4]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        ("eval('')", "Invalid", "expression cannot be empty"),
        ("compile('')", "Invalid", "expression cannot be empty"),
        ("eval('1 +')", "Internal", "compile failed: unexpected token EOF (1:3)"),
        ("compile('x + 1', {y = 1})", "Internal", "compile failed: unknown name x (1:1)"),
        ("compile('a + \"x\"', {a = 1})", "Internal", "compile failed: invalid operation: +"),
        ("eval('x + y', {x = 1})", "Internal", "eval failed: invalid operation: int + <nil> (1:3)"),
        ("compile('x.y'):run({})", "Internal", "run failed: cannot fetch y from <nil>"),
        ("eval('duration(\"1h\")')", "Internal", "failed to convert result: unsupported type: time.Duration"),
    ],
)
async def test_errors(lua: Any, call: str, kind: str, text: str) -> None:
    source = f"""
        local v, e = require('expr').{call}
        return {{v == nil, e:kind(), e:retryable(), tostring(e)}}
    """
    *facts, message = await lua(source, modules=["expr"])
    assert facts == [True, kind, False]
    assert message.startswith(text)


async def test_arguments_are_checked(lua: Any) -> None:
    source = """
        local expr = require('expr')
        return {select(2, pcall(expr.eval, {})), select(2, pcall(expr.compile('1').run, 5))}
    """
    told = await lua(source, modules=["expr"])
    assert "bad argument #1 to eval (string expected, got table)" in told[0]
    assert "bad argument #1 to run (expected expr.Program)" in told[1]
