"""Servers and exchanges without sockets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.seams import Environment
from wippy_trio.core.errors import NotFoundError
from wippy_trio.http.body import Body, bytes_source
from wippy_trio.http.exchange import Exchange, Handler, Request
from wippy_trio.http.files import FileInfo
from wippy_trio.http.headers import Headers
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.response import Response
from wippy_trio.http.server import HttpServer, ServerOptions


class Sink:
    """What a response sent."""

    def __init__(self) -> None:
        self.status = 0
        self.headers = Headers()
        self.body = b""
        self.pieces: list[bytes] = []
        self.final = False

    async def start(self, status: int, headers: Headers, data: bytes, *, final: bool) -> None:
        assert not self.status
        self.status, self.headers = status, headers
        await self.send(data, final=final)

    async def send(self, data: bytes, *, final: bool) -> None:
        assert not self.final
        self.body += data
        self.pieces.append(data)
        self.final = final


class MemoryFile:
    def __init__(self, data: bytes) -> None:
        self.data, self.position, self.closed = data, 0, False

    async def seek(self, offset_bytes: int) -> None:
        self.position = offset_bytes

    async def read(self, max_bytes: int) -> bytes:
        data = self.data[self.position : self.position + max_bytes]
        self.position += len(data)
        return data

    async def aclose(self) -> None:
        self.closed = True


class MemoryFiles:
    """A tree in memory; every file was changed on 2001-09-09."""

    modified_ns = 1_000_000_000 * 10**9

    def __init__(self, tree: dict[str, bytes]) -> None:
        self.tree = tree
        self.opened: list[MemoryFile] = []

    async def stat(self, path: str) -> FileInfo:
        if path in self.tree:
            return FileInfo(len(self.tree[path]), self.modified_ns, False)
        if path == "" or any(name.startswith(f"{path}/") for name in self.tree):
            return FileInfo(0, self.modified_ns, True)
        raise NotFoundError(f"no such file: {path}")

    async def open(self, path: str) -> MemoryFile:
        if path not in self.tree:
            raise NotFoundError(f"no such file: {path}")
        self.opened.append(MemoryFile(self.tree[path]))
        return self.opened[-1]

    async def list(self, path: str) -> list[str]:
        start = f"{path}/" if path else ""
        return sorted({name[len(start) :].partition("/")[0] for name in self.tree if name.startswith(start)})


@pytest.fixture
def files() -> type[MemoryFiles]:
    return MemoryFiles


def make_exchange(method: str, target: str, headers: dict[str, str] | None, body: bytes) -> tuple[Exchange, Sink]:
    fields = Headers((headers or {}).items())
    request = Request(method, target, fields, Body(bytes_source(body), len(body)), remote_address="203.0.113.9:4242")
    request.host = "example.com"
    sink = Sink()
    return Exchange(request, Response(sink, is_head=method == "HEAD")), sink


@pytest.fixture
def ask() -> Callable[..., Any]:
    """`await ask(handler, method, target, headers)` runs one exchange and gives what was sent."""

    async def run(
        handler: Handler, method: str = "GET", target: str = "/", headers: dict[str, str] | None = None,
        body: bytes = b"", prepare: Callable[[Exchange], None] = lambda exchange: None,
    ) -> Sink:  # fmt: skip
        exchange, sink = make_exchange(method, target, headers, body)
        prepare(exchange)
        await handler(exchange)
        await exchange.response.finish()
        return sink

    return run


@pytest.fixture
def exchange_of() -> Callable[..., tuple[Exchange, Sink]]:
    def make(method: str = "GET", target: str = "/", headers: dict[str, str] | None = None, body: bytes = b""):
        return make_exchange(method, target, headers, body)

    return make


@pytest.fixture
def environment() -> Environment:
    return seeded_environment(7)


class Served:
    """A running server and how to talk to it."""

    def __init__(self, server: HttpServer, environment: Environment, log: list[tuple[str, str]]) -> None:
        self.server, self.environment, self.log = server, environment, log

    async def connect(self) -> Any:
        port = self.server.address.rpartition(":")[2]
        return await self.environment.network.connect("127.0.0.1", int(port))

    async def talk(self, data: bytes) -> bytes:
        """Send bytes, read until the server closes or has been silent for 5 s."""
        stream = await self.connect()
        await stream.send_all(data)
        answer = await self.listen(stream)
        await stream.aclose()
        return answer

    async def listen(self, stream: Any, silence_s: float = 5.0) -> bytes:
        answer = b""
        while True:
            with trio.move_on_after(silence_s) as scope:
                try:
                    data = await stream.receive_some(65536)
                except trio.BrokenResourceError:
                    return answer
            if scope.cancelled_caught or not data:
                return answer
            answer += data


@pytest.fixture
def serving(environment: Environment) -> Callable[..., Any]:
    @asynccontextmanager
    async def serve(handler: Handler, limits: ServerLimits | None = None, **options: Any) -> AsyncIterator[Served]:
        log: list[tuple[str, str]] = []
        chosen = ServerOptions(
            limits=limits or ServerLimits(),
            log=lambda level, message, fields: log.append((level, str(fields))),
            **options,
        )
        server = HttpServer("127.0.0.1:0", handler, environment, chosen)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            yield Served(server, environment, log)
            await server.stop(1)

    return serve
