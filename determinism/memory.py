"""A network of one process and threads without threads: what a deterministic run has in place of the machine's.

Nothing here touches a descriptor, so a run under `trio.testing.MockClock` never jumps while bytes are on their way.
Source: ours (architecture, section 2).
"""

from __future__ import annotations

import errno
import operator
from collections.abc import Callable
from typing import TypeVar

import trio

from determinism.seams import Listener, Stream

T = TypeVar("T")

__all__ = ["Guard", "InlineThreads", "MemoryListener", "MemoryNetwork", "MemoryStream", "host_of", "memory_stream_pair"]

#: What one direction of a connection holds before its sender waits.
PIPE_BYTES = 65_536
_FIRST_FREE_PORT = 49_152
_LAST_PORT = 65_535
_LOOPBACK = frozenset({"", "0.0.0.0", "127.0.0.1", "::", "::1", "[::]", "[::1]", "localhost"})


class InlineThreads:
    """`Threads` that runs the work in place, between two checkpoints, and so in a reproducible order.

    Args:
        latency_s: virtual seconds each call takes before its work runs.

    The work blocks the whole run while it lasts; work that calls back through `trio.from_thread` needs
    `determinism.system.SystemThreads`.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        self._latency_s = latency_s

    async def run(
        self,
        function: Callable[..., T],
        *args: object,
        lane: str = "default",
        abandon_on_cancel: bool = False,
    ) -> T:
        """Wait `latency_s`, then run `function(*args)` here. Once begun the work is never cut short."""
        await trio.sleep(self._latency_s)
        return function(*args)


class Guard:
    """Refuses a second task where only one may be."""

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self._held = False

    def __enter__(self) -> None:
        if self._held:
            raise trio.BusyResourceError(self._refusal)
        self._held = True

    def __exit__(self, *_exc: object) -> None:
        self._held = False


class _Pipe:
    """One direction of a connection: at most `PIPE_BYTES` bytes in flight."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.sender_gone = False
        self.receiver_gone = False
        self._changed = trio.lowlevel.ParkingLot()
        self._send_guard = Guard("another task is sending on this stream")
        self._receive_guard = Guard("another task is receiving on this stream")

    def wake(self) -> None:
        self._changed.unpark_all()

    async def wait_room(self) -> None:
        with self._send_guard:
            await trio.lowlevel.checkpoint()
            self._check_sender()
            while len(self.data) >= PIPE_BYTES:
                await self._changed.park()
                self._check_sender()

    async def send(self, data: bytes) -> None:
        with self._send_guard:
            await trio.lowlevel.checkpoint()
            rest = memoryview(data)
            while True:
                self._check_sender()
                room = PIPE_BYTES - len(self.data)
                if room > 0 and rest:
                    self.data += rest[:room]
                    rest = rest[room:]
                    self.wake()
                if not rest:
                    return
                await self._changed.park()

    async def finish(self) -> None:
        with self._send_guard:
            if not self.sender_gone:
                self._check_sender()
            await trio.lowlevel.checkpoint()
            self.sender_gone = True
            self.wake()

    async def receive(self, max_bytes: int | None) -> bytes:
        if max_bytes is not None and operator.index(max_bytes) < 1:  # TypeError where it is no integer
            message = "max_bytes must be at least 1"
            raise ValueError(message)
        with self._receive_guard:
            await trio.lowlevel.checkpoint()
            while not self.data and not self.sender_gone:
                self.check_receiver()
                await self._changed.park()
            self.check_receiver()
            taken = bytes(self.data[:max_bytes])
            del self.data[: len(taken)]
            self.wake()
            return taken

    def _check_sender(self) -> None:
        if self.sender_gone:
            message = "this stream was closed for sending"
            raise trio.ClosedResourceError(message)
        if self.receiver_gone:
            message = "the other side is gone"
            raise trio.BrokenResourceError(message)

    def check_receiver(self) -> None:
        if self.receiver_gone:
            message = "this stream was closed"
            raise trio.ClosedResourceError(message)


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection inside this process; each direction holds `PIPE_BYTES` bytes at most."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, waiting while the other side does not read.

        Raises:
            trio.BrokenResourceError: the other side closed.
            trio.ClosedResourceError: this side closed.
            trio.BusyResourceError: another task is sending.
        """
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for at least one byte; raises what `send_all` does."""
        await self._outgoing.wait_room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Up to `max_bytes` bytes; empty once the other side has closed and all was read.

        Raises:
            trio.ClosedResourceError: this side closed.
            trio.BusyResourceError: another task is receiving.
        """
        return await self._incoming.receive(max_bytes)

    async def send_eof(self) -> None:
        """Tell the other side that no more bytes will come; receiving goes on."""
        self._incoming.check_receiver()
        await self._outgoing.finish()

    async def aclose(self) -> None:
        """Close both directions; bytes already sent can still be read by the other side."""
        self._outgoing.sender_gone = True
        self._incoming.receiver_gone = True
        self._outgoing.wake()
        self._incoming.wake()
        await trio.lowlevel.checkpoint()


def memory_stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """Two ends of one connection."""
    there, back = _Pipe(), _Pipe()
    return MemoryStream(there, back), MemoryStream(back, there)


class MemoryListener:
    """Hands out the connections made to one place of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, where: tuple[str, int], address: str, backlog: int) -> None:
        self._network = network
        self._where = where
        self.address = address
        # A queue of waiting connections; a caller beyond it waits, as it would for a busy machine.
        self._arrivals, self._accepted = trio.open_memory_channel[Stream](backlog)

    async def offer(self, stream: Stream) -> bool:
        """Bring a connection; False where the listener closed meanwhile."""
        try:
            await self._arrivals.send(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def accept(self) -> Stream:
        return await self._accepted.receive()

    async def aclose(self) -> None:
        self._network._forget(self._where, self)
        waiting = self._accepted.statistics().current_buffer_used
        unserved = [self._accepted.receive_nowait() for _ in range(waiting)]
        self._accepted.close()
        self._arrivals.close()
        with trio.CancelScope(shield=True):
            for stream in unserved:  # nobody will ever serve them: their callers should not wait for it
                await stream.aclose()
        await trio.lowlevel.checkpoint()


class MemoryNetwork:
    """TCP inside this process. All names of the local machine are one host; any other host is itself.

    Port 0 gives the next free port from 49152 up, in order, so that equal runs bind equal ports.
    """

    def __init__(self) -> None:
        self._listeners: dict[tuple[str, int], MemoryListener] = {}  # a local socket has its path and port 0
        self._next_port = _FIRST_FREE_PORT

    async def listen(self, host: str, port: int, *, backlog: int = 1024) -> Listener:
        """Accept connections on `host:port`.

        Raises:
            OSError: `EADDRINUSE`, where another listener is open there.
        """
        await trio.lowlevel.checkpoint()
        name = host_of(host)
        if port == 0:
            port = self._free_port(name)
        where = (name, port)
        if where in self._listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {host}:{port}")
        shown = host or "0.0.0.0"
        listener = MemoryListener(self, where, f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}", backlog)
        self._listeners[where] = listener
        return listener

    async def connect(self, host: str, port: int) -> Stream:
        """Connect to an open listener.

        Raises:
            ConnectionRefusedError: nothing listens there.
        """
        return await self._connect((host_of(host), port), f"{host}:{port}")

    async def listen_local(self, path: str, *, backlog: int = 16) -> Listener:
        """Accept connections at a path.

        Raises:
            OSError: `EADDRINUSE`, where another listener is open there.
        """
        await trio.lowlevel.checkpoint()
        where = (path, 0)
        if where in self._listeners:
            raise OSError(errno.EADDRINUSE, f"address already in use: {path}")
        listener = self._listeners[where] = MemoryListener(self, where, path, backlog)
        return listener

    async def connect_local(self, path: str) -> Stream:
        """Connect to an open listener at a path.

        Raises:
            ConnectionRefusedError: nothing listens there.
        """
        return await self._connect((path, 0), path)

    async def _connect(self, where: tuple[str, int], shown: str) -> Stream:
        await trio.lowlevel.checkpoint()
        listener = self._listeners.get(where)
        refused = ConnectionRefusedError(errno.ECONNREFUSED, f"connection refused: {shown}")
        if listener is None:
            raise refused
        ours, theirs = memory_stream_pair()
        if not await listener.offer(theirs):
            raise refused
        return ours

    def listener_at(self, host: str, port: int) -> MemoryListener | None:
        """Who listens at a place, if anybody does."""
        return self._listeners.get((host_of(host), port))

    def knows(self, host: str) -> bool:
        """Whether anybody listens at some port of a host."""
        name = host_of(host)
        return any(known == name and port for known, port in self._listeners)

    def _free_port(self, name: str) -> int:
        for port in range(self._next_port, _LAST_PORT + 1):
            if (name, port) not in self._listeners:
                self._next_port = port + 1
                return port
        raise OSError(errno.EADDRNOTAVAIL, "no free port is left")

    def _forget(self, where: tuple[str, int], listener: MemoryListener) -> None:
        if self._listeners.get(where) is listener:
            del self._listeners[where]


def host_of(host: str) -> str:
    """The name that stands for a host: one for all names of the local machine."""
    return "localhost" if host in _LOOPBACK else host
