from __future__ import annotations

import pytest

from wippy_trio.core.events import compile_glob, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("", ["", "a", "a.b"], []),
        ("a.b", ["a.b"], ["a", "a.b.c", "a.bc", ""]),
        ("*", ["a"], ["", "a.b"]),
        ("**", ["", "a", "a.b.c"], []),
        ("a.*", ["a.b"], ["a", "a.b.c", "b.a"]),
        ("a.**", ["a", "a.b", "a.b.c"], ["b", ""]),
        ("**.state.*", ["state.x", "a.state.x", "a.b.state.x"], ["a.state", "a.state.x.y"]),
        ("a.**.b.**", ["a.b", "a.x.b", "a.b.b.c"], ["a", "a.x"]),
        ("policy.(set|new)", ["policy.set", "policy.new"], ["policy.delete", "policy.(set|new)"]),
        ("(a|b).(c|)", ["a.c", "b."], ["c.c", "a"]),
        ("*.accept", ["entry.accept"], ["accept", "a.b.accept"]),
        ("a*.b", ["a*.b"], ["ax.b"]),
    ],
)
def test_patterns_of_segments(pattern: str, yes: list[str], no: list[str]) -> None:
    matches = compile_pattern(pattern)
    assert [name for name in yes if not matches(name)] == []
    assert [name for name in no if matches(name)] == []


def test_many_double_stars_are_cheap_and_endless_patterns_never_match() -> None:
    assert not compile_pattern(".".join(["**", "a"] * 16))(".".join("b" * 5_000))
    assert not compile_pattern(".".join(["*"] * 33))(".".join("a" * 33))


def test_globs_cover_prefixes_too() -> None:
    for pattern in ("", "*", "**"):
        assert compile_glob(pattern)("a.b.c")
    assert compile_glob("test.*")("test.a.b")
    assert compile_glob("te*")("test")
    assert not compile_glob("test.*")("other.a")
    assert compile_glob("(a|b).c")("b.c")
    assert compile_glob("*.c")("b.c")
    assert not compile_glob("orders")("orders.x")
