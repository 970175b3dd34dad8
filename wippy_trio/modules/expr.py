"""The `expr` module: expr-lang expressions over Lua data. Source: docs lua/dynamic/expression."""

from __future__ import annotations

from sandbox.values import as_text
from wippy_trio.core.errors import LuaError
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.text.expression import ExpressionCache, ExpressionError, Program, compile_expression
from wippy_trio.text.gotime import Duration, Location, Time, local_location
from wippy_trio.text.luavalue import go_value

__all__ = ["MODULE"]

MODULE = Module("expr", classes={ModuleClass.DETERMINISTIC}, prelude="expr.lua")
#: Programs of `expr.eval`, shared by all actors: they are immutable.
_cache = ExpressionCache(1000)
#: Programs of `expr.compile`, by what they were compiled from, so that a Program is a plain value in Lua.
_compiled = ExpressionCache(1000)


def _environment(value: object) -> dict[str, object] | None:
    plain = go_value(value)
    if plain is None:
        return None
    # A list has no names to offer.
    return plain if isinstance(plain, dict) else {}


def _wrapped(what: str, error: LuaError) -> LuaError:
    error.context = (what, *error.context)
    return error


def _result(value: object) -> object:
    """What Lua gets: a time as seconds, text as bytes; other objects have no Lua form."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [_result(item) for item in value]
    if isinstance(value, dict):
        return {_result(key): _result(item) for key, item in value.items()}
    if isinstance(value, Time):
        return value.unix_ns // 1_000_000_000
    if isinstance(value, (Duration, Location)):
        kind = "time.Duration" if isinstance(value, Duration) else "*time.Location"
        message = f"failed to convert result: unsupported type: {kind}"
        raise LuaError(message, kind="Internal", retryable=False)
    return value


def _run(call: Call, program: Program, value: object, what: str) -> object:
    clock = call.environment.clock
    try:
        found = program.run(_environment(value), now=lambda: Time(clock.wall_ns(), local_location(clock.zone())))
    except ExpressionError as error:
        raise _wrapped(what, error) from None
    return _result(found)


@MODULE.immediate("expr.eval")
def evaluate(call: Call, source: str | bytes, environment: object = None) -> object:
    """The value of an expression."""
    try:
        program = _cache.get(as_text(source))
    except ExpressionError as error:
        raise _wrapped("compile failed", error) from None
    return _run(call, program, environment, "eval failed")


@MODULE.immediate("expr.compile")
def compile(call: Call, source: str | bytes, environment: object = None) -> bool:
    """Check an expression; with an environment, against its names and types."""
    try:
        compile_expression(as_text(source), _environment(environment))
    except ExpressionError as error:
        raise _wrapped("compile failed", error) from None
    return True


@MODULE.immediate("expr.run")
def run(call: Call, source: str | bytes, environment: object = None) -> object:
    """Run a compiled expression."""
    return _run(call, _compiled.get(as_text(source)), environment, "run failed")
