"""What each target holds beyond "no crash": round trips, places of errors, and independence of how bytes arrive."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import trio
import trio.testing

from determinism.environment import seeded_environment
from determinism.memory import memory_stream_pair
from sandbox.types import SourceError, compile_source
from sandbox.values import pack, unpack
from wippy_trio.core.errors import ConfigError, LuaError
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.h11_engine import H11Engine
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.link import Link
from wippy_trio.loader.yaml import parse as parse_yaml
from wippy_trio.text.expression import compile_expression
from wippy_trio.workflows.wire_codec import decode, encode, from_json, to_json

__all__ = ["check_expression", "check_http", "check_source", "check_values", "check_wire", "check_yaml"]

_REQUESTS_COUNT = 50
_TYPES: dict[str, tuple[type, ...]] = {
    "bytes": (bytes,), "str": (str,), "int": (int,), "bool": (bool,), "float": (float, int),
}  # fmt: skip
_SPLIT_BYTES = 7


def _hold(held: bool, message: str) -> None:
    if not held:
        raise AssertionError(message)


def check_source(data: bytes) -> str:
    """The Lua text of a source; an error lies within it, and is the same each time.

    Raises:
        SourceError: it is no program.
    """
    text = data.decode("utf-8", "replace")
    try:
        return compile_source(text, "fuzz").lua
    except SourceError as problem:
        count = text.count("\n") + text.count("\r") + 1  # a carriage return ends a line, too
        _hold(1 <= problem.line <= count, f"line {problem.line} of {count}")
        _hold(1 <= problem.column <= len(problem.line_text) + 1, f"column {problem.column} of {problem.line_text!r}")
        _hold(problem.line_text.rstrip("\r") in text, "not that line")
        problem.render()
        raise


def check_yaml(data: bytes) -> None:
    """Reads a file; an error lies within it. What was read says the same when it is written as JSON and read again.

    Raises:
        ConfigError: it is no YAML.
    """
    try:
        value = parse_yaml(data, "fuzz.yaml").value
    except ConfigError as problem:
        place = problem.position
        if place is None:
            raise AssertionError("an error without a place") from problem
        _hold(1 <= place.line <= data.count(b"\n") + data.count(b"\r") + 2, f"line {place.line}")
        problem.render()
        raise
    if not _is_json(value):
        return
    text = json.dumps(value)
    if len(text) < 1 << 20:
        again = parse_yaml(text.encode(), "fuzz.json").value
        assert json.dumps(again) == text, f"{value!r} became {again!r}"


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > 30:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item, depth + 1) for item in value)
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))


def check_expression(data: bytes) -> None:
    """Compiles and runs twice, with equal results.

    Raises:
        ExpressionError: it is none, or fails.
    """
    program = compile_expression(data.decode("utf-8", "replace"))
    environment = {"user": {"age": 21, "roles": ["admin", "dev"], "name": "Ann"}, "n": 7, "xs": [3, 1, 2], "s": "text"}
    before = repr(environment)
    one = program.run(environment)
    assert repr(environment) == before, "it changed what it was given"
    if "now" not in program.source:
        assert repr(program.run(environment)) == repr(one), "not the same twice"


def check_values(data: bytes) -> None:
    """What MessagePack holds comes back the same from a second round.

    Raises:
        ValueError, TypeError, AttributeError, LookupError: it is none of ours.
        LuaError: a value that Lua cannot hold.
    """
    once = pack(unpack(data))
    assert pack(unpack(once)) == once, "another value after a round"


def check_wire(data: bytes) -> None:
    """A record of a workflow comes back the same from bytes and from JSON.

    Raises:
        InvalidError, ValueError, TypeError: it is none.
    """
    message = decode(data)
    once = encode(message)
    assert encode(decode(once)) == once, "another record after a round"
    if not _is_typed(message):
        return  # nobody writes such a record; JSON promises nothing about it
    exported = json.dumps(to_json(message))
    assert encode(from_json(json.loads(exported))) == once, "another record after a round through JSON"


def _is_typed(message: Any) -> bool:
    for field in attrs.fields(type(message)):
        value, wanted = getattr(message, field.name), _TYPES.get(str(field.type))
        if attrs.has(type(value)):
            if not _is_typed(value):
                return False
        elif (wanted is not None and type(value) not in wanted) or (wanted is None and isinstance(value, dict)):
            return False
    return True


# HTTP ---------------------------------------------------------------------------------------------------------------
def check_http(data: bytes) -> None:
    """The server sees the same requests, and answers the same, whether bytes come at once or a few at a time."""
    whole, pieces = _serve(data, len(data) or 1), _serve(data, _SPLIT_BYTES)
    assert whole[0] == pieces[0], f"other requests: {whole[0]} and, in pieces, {pieces[0]}"
    assert whole[1] == pieces[1], f"other answers: {whole[1]!r} and, in pieces, {pieces[1]!r}"
    assert not whole[1] or whole[1].startswith(b"HTTP/1.1 "), f"no answer: {whole[1][:80]!r}"
    assert not whole[2], f"the server logged {whole[2]}"


def _serve(data: bytes, size: int) -> tuple[list[Any], bytes, list[str]]:
    """The requests that a server saw, what it answered, and what it logged as errors."""
    seen: list[Any] = []
    logged: list[str] = []
    answered = bytearray()

    async def handler(exchange: Exchange) -> None:
        request = exchange.request
        try:
            body = await request.body.read_all(1 << 20)
        except LuaError:
            body = None
        if len(seen) < _REQUESTS_COUNT:
            seen.append((request.method, request.path, request.query, request.host, body))
        await exchange.response.write(b"ok")

    async def main() -> None:
        client, server = memory_stream_pair()
        link = Link(
            server, "192.0.2.1:1", secure=False, handler=handler, limits=ServerLimits(),
            clock=seeded_environment(1).clock,
            log=lambda level, message, fields: logged.append(f"{level} {message} {fields}"),
        )  # fmt: skip

        async def send() -> None:
            try:
                for at in range(0, len(data), size):
                    await client.send_all(data[at : at + size])
                    await trio.testing.wait_all_tasks_blocked()
                await client.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # it does not want to hear more

        async def receive() -> None:
            try:
                while part := await client.receive_some(65_536):
                    answered.extend(part)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

        with trio.fail_after(3_600):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                nursery.start_soon(send)
                await H11Engine().serve(link)
                await server.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return seen, bytes(answered), [line for line in logged if line.startswith("error")]
