"""A listener that hands connections to an engine: limits, graceful end, and nothing of HTTP's grammar.

Source: http/server, spec system/http (server).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import cast

import attrs
import trio

from determinism.network import SimulatedStream
from determinism.seams import Environment, Listener, Stream
from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.http.exchange import Exchange, Handler
from wippy_trio.http.h11_engine import H11Engine
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.link import Engine, Link, LogLine, peer_address

__all__ = ["HttpServer", "ServerOptions", "split_address"]

ACCEPT_RETRY_S = 0.1


def _no_log(level: str, message: str, fields: Mapping[str, object]) -> None:
    return None


@attrs.frozen(slots=True)
class ServerOptions:
    """How a server behaves; `engine` None means HTTP/1.1 on h11."""

    limits: ServerLimits = attrs.field(factory=ServerLimits)
    engine: Engine | None = None
    tls: ssl.SSLContext | None = None
    server_id: str = ""
    frame: Frame = EMPTY_FRAME
    log: LogLine = _no_log


def split_address(address: str) -> tuple[str, int]:
    """`host:port`, `:port`, `[v6]:port` as host (empty for every interface) and port.

    Raises:
        InvalidError: no port, or not a number from 0 to 65535.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or ("[" in host) != ("]" in host):
        message = f"invalid listen address {address!r}: expected host:port"
        raise InvalidError(message)
    return host.removeprefix("[").removesuffix("]"), int(port)


class HttpServer:
    """A listening server.

    Args:
        address: `host:port`; port 0 lets the system choose.
        handler: serves every exchange; may be replaced while running (a request keeps the one it began with).
        environment: network and clock.
        options: limits, engine, TLS, surroundings of requests.
    """

    def __init__(self, address: str, handler: Handler, environment: Environment, options: ServerOptions) -> None:
        self._host, self._port = split_address(address)
        self._environment = environment
        self._options = options
        self._engine = options.engine or H11Engine()
        self._links: set[Link] = set()
        self._listener: Listener | None = None
        self._slots = trio.CapacityLimiter(options.limits.connection_count)
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._stopping = False
        self.handler = handler

    @property
    def address(self) -> str:
        """`host:port` as bound.

        Raises:
            UnavailableError: not listening.
        """
        if self._listener is None:
            raise UnavailableError("http server is not listening")
        return self._listener.address

    @property
    def connection_count(self) -> int:
        """Connections open now."""
        return len(self._links)

    async def serve(
        self, *, shield: bool = False, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen and serve until `stop` or cancellation; `task_status` gets the bound address.

        Args:
            shield: only `stop` ends it, so that a cancelled owner can still let requests finish.
            task_status: see `trio.Nursery.start`.

        Raises:
            UnavailableError: the address cannot be bound.
        """
        try:
            self._listener = await self._environment.network.listen(self._host, self._port)
        except OSError as problem:
            self._ended.set()
            message = f"cannot listen on {self._host}:{self._port}: {problem.strerror or problem}"
            raise UnavailableError(message) from problem
        listener = self._listener
        self._scope.shield = shield
        try:
            task_status.started(listener.address)
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await self._accept(listener, nursery)
        finally:
            with trio.CancelScope(shield=True):
                await listener.aclose()
            self._listener = None
            self._ended.set()

    async def stop(self, grace_s: float) -> bool:
        """Stop accepting, let running requests end within `grace_s` seconds, then cut. True if none was cut."""
        self._stopping = True
        if self._listener is not None:
            await self._listener.aclose()
        for link in list(self._links):
            link.drain()
        with trio.move_on_after(grace_s):
            await self._ended.wait()
            return True
        self._scope.cancel()
        await self._ended.wait()
        return False

    async def _accept(self, listener: Listener, nursery: trio.Nursery) -> None:
        while not self._stopping:
            slot = object()
            await self._slots.acquire_on_behalf_of(slot)
            try:
                stream = await listener.accept()
            except (trio.ClosedResourceError, trio.BrokenResourceError, trio.EndOfChannel):
                return
            except OSError as problem:
                # Out of descriptors, mostly: an accept that fails does not end the server.
                self._slots.release_on_behalf_of(slot)
                self._options.log("error", "http accept failed", {"error": str(problem)})
                await trio.sleep(ACCEPT_RETRY_S)
                continue
            nursery.start_soon(self._connection, stream, slot)

    async def _connection(self, stream: Stream, slot: object) -> None:
        options = self._options
        link = Link(
            stream, peer_address(stream), options.tls is not None, self._serve_one, options.limits,
            self._environment.clock, options.log, options.server_id, options.frame, draining=self._stopping,
        )  # fmt: skip
        self._links.add(link)
        try:
            if await self._secure(link):
                await self._engine.serve(link)
        except Exception as problem:  # noqa: BLE001 - one connection's failure must not end the others
            options.log("error", "http connection failed", {"error": repr(problem), "peer": link.remote_address})
        finally:
            self._links.discard(link)
            self._slots.release_on_behalf_of(slot)
            with trio.move_on_after(1, shield=True):
                await link.stream.aclose()

    async def _serve_one(self, exchange: Exchange) -> None:
        await self.handler(exchange)  # looked up per request: it may be replaced

    async def _secure(self, link: Link) -> bool:
        if self._options.tls is None or isinstance(link.stream, SimulatedStream):
            return True  # a simulation does without TLS, whose bytes nobody could repeat
        transport = cast(trio.abc.Stream, link.stream)  # the seam's streams are trio streams
        secured = trio.SSLStream(transport, self._options.tls, server_side=True, https_compatible=True)
        try:
            with trio.move_on_after(self._options.limits.header_s):
                await secured.do_handshake()
                link.stream = cast(Stream, secured)
                return True
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError) as problem:
            self._options.log("debug", "tls handshake failed", {"error": str(problem), "peer": link.remote_address})
        return False
