"""`test`: the app's own test command, or the built-in runner over entries with `meta.type: test`.

Source: docs guides/cli (wippy test), framework/testing (Simple Tests, Test Metadata).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import click
import trio

from wippy_trio.app.app import App
from wippy_trio.cli.options import Logging, Source
from wippy_trio.cli.run import Command, command_body, commands_of
from wippy_trio.cli.session import load_session, run_session
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError, LuaError, TimeoutExpiredError
from wippy_trio.core.units import duration_s

__all__ = ["Outcome", "TestRequest", "run_tests", "select_tests", "test_app"]

_NO_SUITE = "(no suite)"


@attrs.frozen(slots=True)
class TestRequest:
    """What `test` was asked to do."""

    __test__ = False  # not for pytest

    source: Source
    host: str | None
    as_json: bool
    timeout: str
    built_in: bool
    logging: Logging
    patterns: tuple[str, ...]


@attrs.frozen(slots=True)
class Outcome:
    """How one test ended. `error` is empty where it passed."""

    id: str
    suite: str
    name: str
    error: str
    stack: str
    duration_ms: float


def test_app(request: TestRequest) -> int:
    """Run the tests and return the exit code.

    Raises:
        ConfigError, LuaError: what the CLI prints.
    """
    try:
        timeout_s = duration_s(request.timeout)
    except InvalidError as problem:
        raise ConfigError(f"--timeout: {problem}", hint="durations look like 500ms, 30s or 2m") from None
    session = load_session(request.source)
    command = None if request.built_in or request.as_json else _test_command(commands_of(session.entries))
    if command is not None:
        own = command_body(command.entry.id, request.patterns, request.host, request.logging)
        return run_session(session, request.logging, own)
    tests = select_tests(session.entries, request.patterns)
    if not tests:
        wanted = f" with {' or '.join(request.patterns)} in their id" if request.patterns else ""
        raise ConfigError(f"no tests{wanted}", hint="a test is a function.lua entry with meta.type: test")

    async def body(app: App) -> int:
        return await _run_and_report(app, tests, timeout_s, as_json=request.as_json)

    return run_session(session, request.logging, body)


test_app.__test__ = False  # type: ignore[attr-defined]  # not for pytest


def _test_command(commands: list[Command]) -> Command | None:
    chosen = [command for command in commands if command.use_case == "test"]
    chosen += [command for command in commands if command.name == "test"]
    return chosen[0] if chosen else None


def select_tests(entries: Iterable[Entry], patterns: tuple[str, ...] = ()) -> list[Entry]:
    """The tests among `entries` whose id contains one of `patterns` (all without any), by suite, order and id."""
    found = [
        entry
        for entry in entries
        if entry.kind == "function.lua"
        and entry.meta.get("type") == "test"
        and (not patterns or any(pattern in str(entry.id) for pattern in patterns))
    ]
    return sorted(found, key=lambda entry: (_suite(entry), _order(entry), entry.id))


def _suite(entry: Entry) -> str:
    return str(entry.meta.get("suite") or _NO_SUITE)


def _order(entry: Entry) -> float:
    value = entry.meta.get("order")
    return float(value) if isinstance(value, int | float) else 0.0


async def _run_and_report(app: App, tests: list[Entry], timeout_s: float, *, as_json: bool) -> int:
    outcomes: list[Outcome] = []
    width = max(len(_name(entry)) for entry in tests)
    suite = ""
    async for outcome in run_tests(app, tests, timeout_s):
        outcomes.append(outcome)
        if as_json:
            continue
        if outcome.suite != suite:
            suite = outcome.suite
            click.echo(suite)
        verdict = "failed" if outcome.error else "ok"
        click.echo(f"  {verdict:<6}  {outcome.name:<{width}}  {outcome.duration_ms:.0f} ms")
        for line in outcome.error.splitlines():
            click.echo(f"          {line}")
    failed = sum(1 for outcome in outcomes if outcome.error)
    total_ms = sum(outcome.duration_ms for outcome in outcomes)
    if as_json:
        tests_data = [attrs.asdict(outcome) for outcome in outcomes]
        data = {"tests": tests_data, "ok": len(outcomes) - failed, "failed": failed, "duration_ms": total_ms}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{len(outcomes)} tests, {len(outcomes) - failed} ok, {failed} failed, {total_ms:.0f} ms")
    return 1 if failed else 0


async def run_tests(app: App, tests: Iterable[Entry], timeout_s: float) -> Any:
    """Call the tests one after the other in a running app; yields an `Outcome` for each.

    Args:
        app: the running app.
        tests: function entries.
        timeout_s: how long each may take, in seconds.
    """
    clock = app.runtime.environment.clock
    for entry in tests:
        started_s = clock.monotonic_s()
        error, stack = await _run_test(app, entry, timeout_s)
        duration_ms = round((clock.monotonic_s() - started_s) * 1000, 3)
        yield Outcome(str(entry.id), _suite(entry), _name(entry), error, stack, duration_ms)


async def _run_test(app: App, entry: Entry, timeout_s: float) -> tuple[str, str]:
    """(error text, Lua traceback); both empty where it passed."""
    try:
        with trio.move_on_after(timeout_s) as limit:
            value = await app.call(entry.id)
        if limit.cancelled_caught:
            raise TimeoutExpiredError(f"took longer than {timeout_s:g} s (see --timeout)")
    except LuaError as problem:
        return str(problem) or "an error without a message", problem.stack
    return _complaint(value), ""


def _complaint(value: Any) -> str:
    """What is wrong with a test's result; empty where nothing is."""
    if value is False:
        return "returned false"
    failed = value.get("failed_tests") if isinstance(value, Mapping) else None
    return f"{failed} of its cases failed" if isinstance(failed, int) and failed > 0 else ""


def _name(entry: Entry) -> str:
    return str(entry.meta.get("name") or entry.id)
