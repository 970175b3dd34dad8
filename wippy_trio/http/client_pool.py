"""Outgoing connections: opening, one exchange at a time, keeping idle ones within bounds. Source: ours."""

from __future__ import annotations

import ssl
from collections import OrderedDict, deque
from typing import cast

import attrs
import h11
import trio

from determinism.network import RealNetworkError, SimulatedStream
from determinism.seams import Environment, Stream
from wippy_trio.http.headers import Headers
from wippy_trio.http.tls import ClientTls, client_context

__all__ = ["ClientConnection", "ClientPool", "ConnectionLostError", "PoolLimits", "Target"]

READ_BYTES = 64 * 1024
HEADER_BYTES = 1024 * 1024


class ConnectionLostError(Exception):
    """The connection could not be made, broke, or spoke nonsense; the text says which."""


@attrs.frozen(slots=True)
class PoolLimits:
    """Bounds of a pool.

    Attributes:
        idle_count, idle_per_host_count: idle connections kept.
        idle_s: how long one is kept.
        open_count: connections open at once; a further request waits.
        connect_s: for name, TCP and TLS together.
        contexts_count: TLS contexts kept.
    """

    idle_count: int = 100
    idle_per_host_count: int = 10
    idle_s: float = 90.0
    open_count: int = 512
    connect_s: float = 30.0
    contexts_count: int = 64


@attrs.frozen(slots=True)
class Target:
    """Where to connect; connections of a scenario (`exempt`) are kept apart from those of the app."""

    secure: bool
    host: str
    port: int
    tls: ClientTls | None = None
    exempt: bool = False

    @property
    def authority(self) -> str:
        """The Host header's text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class ClientConnection:
    """One connection of a pool, owned by one request until `release` or `discard`."""

    def __init__(self, pool: ClientPool, target: Target, stream: Stream) -> None:
        self._pool = pool
        self._stream = stream
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES)
        self._ours = True
        self.target = target
        self.reused = False
        self.idle_since_s = 0.0

    async def exchange(
        self, method: str, path: str, fields: list[tuple[bytes, bytes]], body: bytes
    ) -> tuple[int, Headers]:
        """Send a request and read the head of its answer.

        Raises:
            ConnectionLostError: the connection broke or the answer is no HTTP.
        """
        try:
            out = self._machine.send(h11.Request(method=method, target=path.encode("ascii"), headers=fields)) or b""
            if body:
                out += self._machine.send(h11.Data(data=body)) or b""
            out += self._machine.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as problem:
            raise ConnectionLostError(f"net/http: invalid request: {problem}") from problem
        await self._send(out)
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise ConnectionLostError("EOF")
        headers = Headers(
            (name.decode("ascii"), value.decode("utf-8", "surrogateescape")) for name, value in event.headers
        )
        return event.status_code, headers

    async def _send(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), READ_BYTES):
                await self._stream.send_all(data[start : start + READ_BYTES])
        except trio.ClosedResourceError as problem:
            raise ConnectionLostError(str(problem)) from problem
        except trio.BrokenResourceError:
            # The server may have answered early (413, say) and closed; its answer is worth reading.
            return

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = self._machine.next_event()
                if event is not h11.NEED_DATA:
                    return cast("h11.Event | type[h11.PAUSED]", event)
                data = await self._stream.receive_some(READ_BYTES)
                if not data and self._machine.their_state is h11.SEND_RESPONSE:
                    raise ConnectionLostError("EOF")
                self._machine.receive_data(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
                raise ConnectionLostError("connection reset by peer") from problem
            except h11.RemoteProtocolError as problem:
                ended = "closed connection" in str(problem)
                text = "unexpected EOF" if ended else f"malformed HTTP response: {problem}"
                raise ConnectionLostError(text) from problem

    async def read_body(self) -> bytes:
        """The next piece of the answer's body, `b""` at its end."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise ConnectionLostError("unexpected EOF")

    async def release(self) -> None:
        """Give the connection back; kept where the protocol allows it."""
        if not self._ours:
            return
        machine = self._machine
        clean = not machine.trailing_data[0]
        if machine.our_state is h11.DONE and machine.their_state is h11.DONE and clean:
            machine.start_next_cycle()
            self._ours = False
            await self._pool.keep(self)
        else:
            await self.discard()

    async def discard(self) -> None:
        """Close the connection."""
        if self._ours:
            self._ours = False
            self._pool.forget()
            await self.close()

    async def close(self) -> None:
        """Close the stream, without the courtesies of TLS."""
        with trio.move_on_after(1, shield=True):
            try:
                await self._stream.aclose()
            except (trio.BrokenResourceError, OSError):
                pass

    def take(self) -> None:
        """Own an idle connection again."""
        self._ours = self.reused = True


class ClientPool:
    """Keeps connections by target.

    Args:
        environment: network, clock and threads.
        limits: bounds.
    """

    def __init__(self, environment: Environment, limits: PoolLimits | None = None) -> None:
        self._environment = environment
        self._limits = limits or PoolLimits()
        self._idle: OrderedDict[Target, deque[ClientConnection]] = OrderedDict()
        self._contexts: OrderedDict[ClientTls | None, ssl.SSLContext] = OrderedDict()
        self._open = trio.Semaphore(self._limits.open_count)
        self.idle_count = 0

    async def acquire(self, target: Target) -> ClientConnection:
        """An idle connection to `target`, or a new one; waits while `open_count` are in use.

        Raises:
            ConnectionLostError: no connection.
        """
        await self._open.acquire()
        try:
            connection = self._take_idle_now(target)
            if connection is None:
                connection = ClientConnection(self, target, await self._connect(target))
        except BaseException:
            self._open.release()
            raise
        return connection

    def forget(self) -> None:
        """A connection in use was closed."""
        self._open.release()

    async def keep(self, connection: ClientConnection) -> None:
        """Keep a connection for the next request; the oldest goes where a bound is passed."""
        self._open.release()
        connection.idle_since_s = trio.current_time()
        waiting = self._idle.setdefault(connection.target, deque())
        waiting.append(connection)
        self._idle.move_to_end(connection.target)
        self.idle_count += 1
        surplus: list[ClientConnection] = []
        if len(waiting) > self._limits.idle_per_host_count:
            surplus.append(self._drop_oldest(connection.target))
        elif self.idle_count > self._limits.idle_count:
            surplus.append(self._drop_oldest(next(iter(self._idle))))
        surplus += self._expired()
        for old in surplus:
            await old.close()

    def _take_idle_now(self, target: Target) -> ClientConnection | None:
        waiting = self._idle.get(target)
        while waiting:
            connection = waiting.pop()
            self.idle_count -= 1
            if not waiting:
                del self._idle[target]
            if trio.current_time() - connection.idle_since_s < self._limits.idle_s:
                connection.take()
                return connection
            # Too old: closing is not worth waiting for, the garbage collector closes the socket.
        return None

    def _drop_oldest(self, target: Target) -> ClientConnection:
        waiting = self._idle[target]
        connection = waiting.popleft()
        self.idle_count -= 1
        if not waiting:
            del self._idle[target]
        return connection

    def _expired(self) -> list[ClientConnection]:
        now = trio.current_time()
        found: list[ClientConnection] = []
        for target in list(self._idle):
            while target in self._idle and now - self._idle[target][0].idle_since_s >= self._limits.idle_s:
                found.append(self._drop_oldest(target))
        return found

    async def _connect(self, target: Target) -> Stream:
        with trio.move_on_after(self._limits.connect_s):
            try:
                stream = await self._environment.network.connect(target.host, target.port)
            except RealNetworkError:
                raise
            except OSError as problem:
                text = problem.strerror or str(problem)
                raise ConnectionLostError(f"dial tcp {target.host}:{target.port}: connect: {text.lower()}") from problem
            plain = not target.secure or isinstance(stream, SimulatedStream)  # a simulation does without TLS
            return stream if plain else await self._secure(target, stream)
        raise ConnectionLostError(f"dial tcp {target.host}:{target.port}: i/o timeout")

    async def _secure(self, target: Target, stream: Stream) -> Stream:
        context = self._contexts.get(target.tls)
        if context is None:
            context = self._contexts[target.tls] = await client_context(target.tls, self._environment)
            if len(self._contexts) > self._limits.contexts_count:
                self._contexts.popitem(last=False)
        name = (target.tls.server_name if target.tls is not None else "") or target.host
        secured = trio.SSLStream(cast(trio.abc.Stream, stream), context, server_hostname=name, https_compatible=True)
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError) as problem:
            await trio.aclose_forcefully(secured)
            cause = problem.__cause__ or problem
            raise ConnectionLostError(f"tls: {cause}") from problem
        except BaseException:
            await trio.aclose_forcefully(secured)
            raise
        return cast(Stream, secured)

    async def aclose(self) -> None:
        """Close every idle connection."""
        for target in list(self._idle):
            while target in self._idle:
                await self._drop_oldest(target).close()
