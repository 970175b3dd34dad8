"""Simulated peers: the hosts outside the app that its requests reach in a simulation. See docs/guides/simulation.md.

A peer is a `function.lua` with `meta.type: simulation.peer` and `meta.host: "api.example.com"` (ports 80 and 443) or
`"api.example.com:8443"`, or a list of such. It is called with `{method, path, query, headers, body}` and returns
`{status, headers, body}`, each of which may be left out, or a text, the body of a 200. A peer belongs to the scenario:
no fault strikes it, and an error that it raises or returns is the scenario's failure. Source: ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from determinism.faults import exempt
from determinism.network import SimulatedNetwork
from sandbox.errors import LuaError
from sandbox.values import as_bytes, as_text
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.http.exchange import Exchange, respond_text
from wippy_trio.http.server import HttpServer, ServerOptions, split_address

__all__ = ["Peer", "expect_peers", "find_peers", "open_peers"]

_PORTS = (80, 443)
_BODY_BYTES = 16 * 1024 * 1024
_STOP_S = 1.0
#: Told of a peer that failed: (peer, message, Lua traceback).
Failed = Callable[[EntryId, str, str], None]


@attrs.frozen(slots=True)
class Peer:
    """A simulated peer: its entry, and where it listens."""

    id: EntryId
    places: tuple[tuple[str, int], ...]


def find_peers(entries: Iterable[Entry]) -> list[Peer]:
    """The peers among `entries`, in order of id.

    Raises:
        ConfigError: no `meta.host`, one that is no host, or two peers on one place.
    """
    found: list[Peer] = []
    taken: dict[tuple[str, int], EntryId] = {}
    for entry in sorted(entries, key=lambda entry: entry.id):
        if entry.kind != "function.lua" or entry.meta.get("type") != "simulation.peer":
            continue
        peer = Peer(entry.id, tuple(_places(entry)))
        for place in peer.places:
            if place in taken:
                raise ConfigError(f"{entry.id}: meta.host: {taken[place]} is {place[0]}:{place[1]} already")
            taken[place] = entry.id
        found.append(peer)
    return found


def _places(entry: Entry) -> Iterable[tuple[str, int]]:
    given = entry.meta.get("host")
    hosts = given if isinstance(given, list) else [given]
    for host in hosts:
        if not isinstance(host, str) or not host or "/" in host:
            hint = 'host: "api.example.com" or "api.example.com:8443"'
            raise ConfigError(f"{entry.id}: meta.host: a host name is required, got {host!r}", hint=hint)
        name = host.lower()
        if ":" not in name:
            yield from ((name, port) for port in _PORTS)
            continue
        try:
            yield split_address(name)
        except InvalidError as problem:
            raise ConfigError(f"{entry.id}: meta.host: {problem}") from None


def expect_peers(peers: Iterable[Peer], network: SimulatedNetwork) -> None:
    """Let connections to these peers wait until they listen, for the app's services start before them."""
    for peer in peers:
        for host, port in peer.places:
            network.expect(host, port)


@asynccontextmanager
async def open_peers(app: App, peers: Iterable[Peer], failed: Failed) -> AsyncIterator[None]:
    """The peers listen for the duration of the block.

    Args:
        app: whose functions they are.
        peers: see `find_peers`.
        failed: told of errors.
    """
    servers = [
        HttpServer(f"{host}:{port}", _Answers(app, peer.id, failed), app.runtime.environment, ServerOptions())
        for peer in peers
        for host, port in peer.places
    ]
    if not servers:
        yield
        return
    async with trio.open_nursery() as nursery:
        for server in servers:
            await nursery.start(_serve, server)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                for server in servers:
                    await server.stop(_STOP_S)
            nursery.cancel_scope.cancel()


async def _serve(server: HttpServer, task_status: trio.TaskStatus[str]) -> None:
    exempt.set(True)  # for this task, and those that serve its connections
    await server.serve(task_status=task_status)


class _Answers:
    """The handler of one peer."""

    def __init__(self, app: App, id_: EntryId, failed: Failed) -> None:
        self._app = app
        self._id = id_
        self._failed = failed

    async def __call__(self, exchange: Exchange) -> None:
        request = exchange.request
        headers = {name: request.headers.get(name) for name in request.headers.names()}
        headers["Host"] = request.host
        asked = {
            "method": request.method,
            "path": request.path,
            "query": {name: values[0] for name, values in request.query_values().items()},
            "headers": headers,
            "body": await request.body.read_all(_BODY_BYTES),
        }
        try:
            status, fields, body = _answer_of(await self._app.call(self._id, asked))
        except LuaError as problem:
            self._failed(self._id, str(problem) or "an error without a message", problem.stack)
            await respond_text(exchange, 500, str(problem))
            return
        exchange.response.set_status(status)
        for name, value in fields.items():
            exchange.response.headers.set(name, value)
        if body:
            await exchange.response.write(body)


def _answer_of(value: Any) -> tuple[int, Mapping[str, str], bytes]:
    """Status, header fields and body of what a peer returned.

    Raises:
        InvalidError: it is no answer.
    """
    if isinstance(value, (str, bytes)):
        return 200, {}, as_bytes(value)
    if value is None or value == []:
        value = {}
    if not isinstance(value, Mapping):
        raise InvalidError(f"a simulated peer returns a table or a text, not {type(value).__name__}")
    status, headers, body = value.get("status", 200), value.get("headers") or {}, value.get("body", b"")
    if isinstance(status, bool) or not isinstance(status, (int, float)) or not 200 <= status <= 599:
        raise InvalidError(f"status must be a number from 200 to 599, got {status!r}")
    if not isinstance(headers, Mapping):
        raise InvalidError("headers must be a table of texts")
    if not isinstance(body, (str, bytes)):
        raise InvalidError(f"body must be a text, got {type(body).__name__} (json.encode makes one of a table)")
    return int(status), {as_text(name): as_text(text) for name, text in headers.items()}, as_bytes(body)
