"""`test`: the built-in runner, and an app's own test command."""

import json
import re

import pytest

TESTS = """
- name: good
  kind: function.lua
  meta: {type: test, suite: b, order: 2}
  source: "return function() return true end"
- name: first
  kind: function.lua
  meta: {type: test, suite: b, order: 1, name: comes first}
  source: "return function() end"
- name: lonely
  kind: function.lua
  meta: {type: test}
  source: "return function() return {failed_tests = 0} end"
- name: helper
  kind: function.lua
  source: "return function() return false end"
"""


def bad(body: str) -> str:
    source = f"return function() {body} end"
    entry = {"name": "bad", "kind": "function.lua", "meta": {"type": "test"}, "source": source, "modules": ["time"]}
    return f"- {json.dumps(entry)}\n"


def test_tests_run_by_suite_and_order(make_app, program) -> None:
    make_app(TESTS)
    ended = program("test")
    assert (ended.code, ended.err) == (0, "")
    lines = [re.sub(r"^  ok  +|  +[0-9]+ ms$", "", line) for line in ended.out.splitlines()]
    assert lines[:-1] == ["(no suite)", "app:lonely", "b", "comes first", "app:good"]
    assert ended.out.splitlines()[-1].startswith("3 tests, 3 ok, 0 failed, ")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('error("boom")', "app:bad:1: boom"),
        ('return nil, errors.new("no luck")', "no luck"),
        ("return false", "returned false"),
        ("return {failed_tests = 2}", "2 of its cases failed"),
        ('require("time").sleep("1h")', "took longer than 0.05 s (see --timeout)"),
    ],
)
def test_a_failed_test_says_why(make_app, program, body: str, error: str) -> None:
    make_app(TESTS + bad(body))
    ended = program("test", "--timeout", "50ms")
    assert ended.code == 1
    assert f"          {error}\n" in ended.out
    assert "4 tests, 3 ok, 1 failed" in ended.out


def test_json_and_patterns(make_app, program) -> None:
    make_app(TESTS + bad('error("boom")'))
    ended = program("test", "--json", "bad", "goo")
    data = json.loads(ended.out)
    assert (ended.code, data["ok"], data["failed"]) == (1, 1, 1)
    by_id = {test["id"]: test for test in data["tests"]}
    assert set(by_id) == {"app:bad", "app:good"}
    assert by_id["app:bad"]["error"] == "app:bad:1: boom"
    assert by_id["app:good"]["suite"] == "b"


def test_nothing_to_run(make_app, program) -> None:
    make_app(TESTS)
    assert program("test", "nowhere").err.startswith("error: no tests with nowhere in their id\n  hint: a test is")
    assert program("test", "--timeout", "soon").err.startswith("error: --timeout: ")


@pytest.mark.parametrize("command", ["{name: check, use_case: test}", "{name: test}"])
def test_the_apps_own_test_command_comes_first(make_app, program, command: str) -> None:
    own = f"""
- name: runner
  kind: process.lua
  meta: {{command: {command}}}
  modules: [io]
  source: |
    return function(...) require("io").print("own", ...) return 4 end
"""
    make_app(TESTS + own, terminal=True)
    ended = program("test", "a", "b")
    assert (ended.code, ended.out) == (4, "own\ta\tb\n")
    assert "3 tests, 3 ok" in program("test", "--built-in").out
