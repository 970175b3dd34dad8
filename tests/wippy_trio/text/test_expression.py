"""The expression language, case by case: `expression_cases.json` was recorded from expr-lang 1.17.8.

A case is [expression, modes, "value", type, text] or [expression, modes, "compile" or "run"], the step that fails.
Mode `none` has no environment, `loose` has `ENVIRONMENT` at run time only, `strict` at compile time too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wippy_trio.text.expression import ExpressionCache, ExpressionError, compile_expression
from wippy_trio.text.expression.operators import format_value
from wippy_trio.text.gotime import Time

ENVIRONMENT: dict[str, object] = {
    "a": 1,
    "b": 2.5,
    "s": "hello",
    "u": "h\u00e9llo",
    "l": [1, 2, 3],
    "ls": ["x", "y"],
    "m": {"k": 1, "n": {"z": "q"}},
    "t": True,
    "f": False,
    "big": 9223372036854775807,
    "mixed": [1, "a", None, 2.5],
    "users": [{"name": "Bob", "age": 30}, {"name": "Al", "age": 20}],
    "e": [],
}
CASES = json.loads((Path(__file__).parent / "expression_cases.json").read_text())
TYPES = {int: "int", float: "float64", bool: "bool", str: "string", type(None): "<nil>"}


def outcome(source: str, mode: str) -> list[str]:
    environment = None if mode == "none" else ENVIRONMENT
    try:
        program = compile_expression(source, environment if mode == "strict" else None)
    except ExpressionError:
        return ["compile"]
    try:
        value = program.run(environment)
    except ExpressionError:
        return ["run"]
    return ["value", TYPES.get(type(value), "other"), format_value(value)]


@pytest.mark.parametrize("part", range(6))
def test_recorded_cases(part: int) -> None:
    wrong = []
    for source, modes, *expected in CASES[part::6]:
        for mode in modes.split("+"):
            got = outcome(source, mode)
            if got != expected:
                wrong.append((source, mode, expected, got))
    assert wrong == []


def run(source: str, **environment: object) -> object:
    return compile_expression(source).run(environment)


def test_error_shows_the_place() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("1 +\n  * 2")
    assert str(caught.value) == 'unexpected token Operator("*") (2:3)\n |   * 2\n | ..^'
    assert caught.value.kind == "Internal"
    assert caught.value.retryable is False


def test_run_error_shows_the_innermost_place() -> None:
    with pytest.raises(ExpressionError, match=r"invalid operation: int \+ <nil> \(1:6\)"):
        run("1; x + y", x=1)


def test_integers_wrap_at_64_bits() -> None:
    assert run("big + 1", big=2**63 - 1) == -(2**63)
    assert run("-low", low=-(2**63)) == -(2**63)


def test_text_that_is_not_utf8_survives() -> None:
    assert run("raw + 'x'", raw=b"\xff\xfe".decode("utf-8", "surrogateescape")).encode(  # type: ignore[attr-defined]
        "utf-8", "surrogateescape"
    ) == b"\xff\xfex"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("(" * 200 + "1" + ")" * 200, "nests deeper"),
        ("+".join(["1"] * 300), "chains or nests"),
        ("[" + "1," * 10_001 + "1]", "maximum allowed nodes"),
        ("'" + "x" * 70_000 + "'", "longer than"),
    ],
)
def test_compile_bounds(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem):
        compile_expression(source)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("1..2000000", "memory budget"),
        ("map(1..900000, #) | map(#)", "budget"),
        ("repeat(repeat('x', 10000), 10000)", "memory budget"),
    ],
)
def test_run_bounds(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem):
        run(source)


def test_nested_loops_are_bounded_by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wippy_trio.text.expression.run.MAX_STEPS", 5_000)
    with pytest.raises(ExpressionError, match="step budget exceeded"):
        run("all(1..1000, all(1..1000, # > 0))")


def test_now_needs_a_clock() -> None:
    program = compile_expression("now().Year()")
    assert program.run(now=lambda: Time(1_700_000_000 * 10**9)) == 2023
    with pytest.raises(ExpressionError, match="not available"):
        program.run()


def test_cache_keeps_the_most_recently_used() -> None:
    cache = ExpressionCache(2)
    one = cache.get("1")
    cache.get("2")
    assert cache.get("1") is one
    cache.get("3")
    assert cache.get("1") is one
    with pytest.raises(ExpressionError):
        cache.get("1 +")
