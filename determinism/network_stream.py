"""One connection of a simulated network: bytes that take their time, arrive in pieces, and may not arrive at all.

No task carries the bytes: each piece knows when it arrives, and whoever reads waits until then.
Source: ours (architecture, section 2).
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable

import trio

from determinism.memory import PIPE_BYTES, Guard
from determinism.seams import Entropy, Faults

__all__ = ["Link", "SimulatedStream", "Weather"]

#: The largest piece that arrives at once.
SEGMENT_BYTES = 16_384
_CUT_PROBABILITY = 0.25
_SLOW_PROBABILITY = 1 / 16
_TRICKLES_COUNT = 16

#: Told of what happens: which link, what, about what, and the bytes.
Told = Callable[[str, str, str, bytes], None]


class Weather:
    """What lies between the hosts of a simulated network: how far they are apart, who is cut off, what is clogged.

    Args:
        entropy: draws distances and the fates of pieces.
        faults: asked about partitions and clogged links.
        latency_s: the shortest and the longest time that a piece takes one way, in virtual seconds; each pair of hosts
            has its own time between the two, and each piece strays from it.
    """

    def __init__(self, entropy: Entropy, faults: Faults, latency_s: tuple[float, float]) -> None:
        self.entropy = entropy
        self.faults = faults
        self._latency_s = latency_s
        self._between: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], float] = {}
        self._clogged: dict[tuple[str, str], tuple[float, float]] = {}

    def distance_s(self, source: str, target: str) -> float:
        """How long a piece takes from one host to another, as a rule."""
        pair = source, target
        known = self._between.get(pair)
        if known is None:
            shortest_s, longest_s = self._latency_s
            drawn = self.entropy.fork(f"distance/{source}>{target}").random()
            # Evenly on a logarithmic scale: near neighbours are as likely as far ones.
            known = shortest_s * (longest_s / shortest_s) ** drawn if shortest_s > 0 else longest_s * drawn
            self._between[pair] = known
        return known

    def change(self, source: str, target: str, link: str) -> None:
        """Ask whether something comes between two hosts now, as bytes leave from `source` for `target`.

        Args:
            source, target: names of hosts.
            link: the connection's name, the same in both directions.
        """
        now = trio.current_time()
        cut = self.faults.strike("partition", link)
        if cut is not None:
            self._hold(source, target, now + cut.lasts_s)
            self._hold(target, source, now + cut.lasts_s)
        cut = self.faults.strike("partition_one_way", f"{source}>{target}")
        if cut is not None:
            self._hold(source, target, now + cut.lasts_s)
        clog = self.faults.strike("clogged_link", f"{source}>{target}")
        if clog is not None:
            # 16 bytes a second at the worst, 1 KiB at the best.
            self._clogged[source, target] = now + clog.lasts_s, 2.0 ** (10 - 6 * clog.draw)

    def _hold(self, source: str, target: str, until_s: float) -> None:
        self._held[source, target] = max(self._held.get((source, target), 0.0), until_s)

    def held_until_s(self, source: str, target: str) -> float:
        """Until when nothing gets from one host to another; a time gone by, where it does."""
        return self._held.get((source, target), 0.0)

    def clogged(self, source: str, target: str) -> tuple[float, float]:
        """Until when bytes trickle, and how many a second."""
        return self._clogged.get((source, target), (0.0, math.inf))


class Line:
    """One direction of a link: pieces under way, in order, at most `PIPE_BYTES` bytes unread."""

    def __init__(self, link: Link, source: str, target: str) -> None:
        self._link = link
        self.source = source
        self.target = target
        self._entropy = link.weather.entropy.fork(f"line/{link.number}/{source}>{target}")
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._unread_bytes = 0
        self._last_s = 0.0
        self._ended_s: float | None = None  # when the other side learns that no more will come
        self._gone_s: float | None = None  # when the sender learns that the receiver is gone
        self._changed = trio.lowlevel.ParkingLot()
        self._send_guard = Guard("another task is sending on this stream")
        self._receive_guard = Guard("another task is receiving on this stream")

    # the sender's end ------------------------------------------------------------------------------------------
    async def send(self, data: bytes) -> None:
        with self._send_guard:
            await trio.lowlevel.checkpoint()
            self._link.ask(self.source)
            self._check_sender()
            rest = memoryview(data)
            if rest:
                self._link.change(self.source, self.target)
            while rest:
                await self._wait_room()
                size = self._cut(min(len(rest), PIPE_BYTES - self._unread_bytes))
                self._leave(bytes(rest[:size]), len(data))
                rest = rest[size:]

    async def wait_room(self) -> None:
        with self._send_guard:
            await trio.lowlevel.checkpoint()
            self._check_sender()
            await self._wait_room()

    async def _wait_room(self) -> None:
        while self._unread_bytes >= PIPE_BYTES:
            await self._wait_until_s(math.inf if self._gone_s is None else self._gone_s)
            self._check_sender()

    def _cut(self, most: int) -> int:
        """How many of `most` bytes arrive together."""
        most = min(most, SEGMENT_BYTES)
        if most > 1 and self._entropy.random() < _CUT_PROBABILITY:
            return 1 + self._entropy.below(most)
        return most

    def _leave(self, data: bytes, whole_bytes: int) -> None:
        self._unread_bytes += len(data)
        if self._gone_s is not None:
            return  # nobody reads it; the sender hears of it soon
        now = trio.current_time()
        until_s, bytes_per_s = self._link.weather.clogged(self.source, self.target)
        trickles = until_s > now and not self._link.exempt
        step = max(1, -(-whole_bytes // _TRICKLES_COUNT)) if trickles else len(data)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            arrives_s = self._arrival_s()
            if trickles:
                arrives_s = max(arrives_s, min(until_s, max(self._last_s, now) + len(piece) / bytes_per_s))
            self._last_s = arrives_s
            self._pieces.append((arrives_s, piece))
        self._changed.unpark_all()

    def _arrival_s(self) -> float:
        """When what leaves now arrives: never before what left earlier."""
        now, weather = trio.current_time(), self._link.weather
        drawn = self._entropy.random()
        takes_s = weather.distance_s(self.source, self.target) * (0.5 + drawn)
        if drawn > 1 - _SLOW_PROBABILITY:
            takes_s *= 8
        leaves_s = now if self._link.exempt else max(now, weather.held_until_s(self.source, self.target))
        return max(leaves_s + takes_s, self._last_s)

    async def finish(self) -> None:
        with self._send_guard:
            if self._ended_s is None:
                self._check_sender()
            await trio.lowlevel.checkpoint()
            self.end_now()

    def end_now(self) -> None:
        """No more bytes will come from the sender."""
        if self._ended_s is None:
            self._ended_s = self._arrival_s()
            self._changed.unpark_all()

    def _check_sender(self) -> None:
        if self._ended_s is not None:
            message = "this stream was closed for sending"
            raise trio.ClosedResourceError(message)
        if self._link.broken:
            raise trio.BrokenResourceError(self._link.broken)
        if self._gone_s is not None and self._gone_s <= trio.current_time():
            message = "the other side is gone"
            raise trio.BrokenResourceError(message)

    # the receiver's end ----------------------------------------------------------------------------------------
    async def receive(self, max_bytes: int | None) -> bytes:
        if max_bytes is not None and operator.index(max_bytes) < 1:  # TypeError where it is no integer
            message = "max_bytes must be at least 1"
            raise ValueError(message)
        with self._receive_guard:
            await trio.lowlevel.checkpoint()
            self._link.ask(self.target)
            now = trio.current_time()
            while True:
                self.check_receiver()
                due_s = self._next_s()
                if due_s <= now:
                    return self._take(max_bytes)
                if self._link.broken:
                    raise trio.BrokenResourceError(self._link.broken)
                now = await self._wait_until_s(due_s)

    def _next_s(self) -> float:
        if self._pieces:
            return self._pieces[0][0]
        return math.inf if self._ended_s is None else self._ended_s

    def _take(self, max_bytes: int | None) -> bytes:
        if not self._pieces:
            return b""  # the end
        arrived_s, piece = self._pieces.popleft()
        if max_bytes is not None and len(piece) > max_bytes:
            self._pieces.appendleft((arrived_s, piece[max_bytes:]))
            piece = piece[:max_bytes]
        self._unread_bytes -= len(piece)
        self._changed.unpark_all()
        self._link.tell(f"{self.source}>{self.target}", "net.read", self._link.name, piece)
        return piece

    def leave_now(self) -> None:
        """The receiver closed: it hears nothing any more, and the sender learns of it a little later."""
        if self._gone_s is None:
            self._gone_s = trio.current_time() + self._link.weather.distance_s(self.target, self.source)
            self._pieces.clear()
            self._changed.unpark_all()

    def check_receiver(self) -> None:
        """Raises `trio.ClosedResourceError` where the receiver has closed."""
        if self._gone_s is not None:
            message = "this stream was closed"
            raise trio.ClosedResourceError(message)

    # both ------------------------------------------------------------------------------------------------------
    async def _wait_until_s(self, due_s: float) -> float:
        """Wait for a change, or until `due_s`; the time it is then."""
        with trio.move_on_at(due_s) as scope:
            await self._changed.park()
        # A clock that jumps to a deadline may miss it by a rounding.
        return max(trio.current_time(), due_s) if scope.cancelled_caught else trio.current_time()

    def lose_now(self) -> None:
        """The connection broke: what has not arrived never will."""
        now = trio.current_time()
        while self._pieces and self._pieces[-1][0] > now:
            self._unread_bytes -= len(self._pieces.pop()[1])
        if self._ended_s is not None and self._ended_s > now:
            self._ended_s = math.inf
        self._changed.unpark_all()

    @property
    def is_over(self) -> bool:
        return self._ended_s is not None and self._gone_s is not None


class Link:
    """A connection between two hosts, or inside the app's own.

    Args:
        number: counts connections of the network.
        ends: name of the host that connected, and of the one that was connected to.
        weather: what lies between them.
        exempt: no fault strikes it.
        tell: told of what is read, of resets and closings.
    """

    def __init__(self, number: int, ends: tuple[str, str], weather: Weather, *, exempt: bool, tell: Told) -> None:
        self.number = number
        self.weather = weather
        self.exempt = exempt
        self.tell = tell
        self.name = f"{ends[0]}>{ends[1]}"
        #: One machine is never cut off from itself.
        self.inside = ends[1].startswith("localhost:")
        #: Why it is broken, for the errors of both ends; empty as long as it is not.
        self.broken = ""
        self.there = Line(self, ends[0], ends[1])
        self.back = Line(self, ends[1], ends[0])

    def ask(self, end: str) -> None:
        """Whether the connection breaks as one end reads or writes.

        Raises:
            trio.BrokenResourceError: it breaks now.
        """
        if self.exempt or self.broken or self.is_over:
            return
        if self.weather.faults.strike("connection_reset", self.name) is not None:
            self.reset(f"connection reset by peer: {self.name} (simulated)")
            self.tell(end, "net.reset", self.name, b"")
            raise trio.BrokenResourceError(self.broken)

    @property
    def is_over(self) -> bool:
        return bool(self.broken) or (self.there.is_over and self.back.is_over)

    def change(self, source: str, target: str) -> None:
        """Ask whether something comes between the two as bytes leave."""
        if not self.exempt and not self.inside:
            self.weather.change(source, target, self.name)

    def reset(self, why: str) -> None:
        """Break both directions; both ends can still read what had arrived."""
        if not self.broken:
            self.broken = why
            self.there.lose_now()
            self.back.lose_now()


class SimulatedStream(trio.abc.HalfCloseableStream):
    """One end of a simulated connection. TLS is left out in a simulation: whoever would speak it asks for this class.

    Attributes:
        peer_address: `address:port` of the other side.
    """

    def __init__(self, link: Link, outgoing: Line, incoming: Line, peer_address: str) -> None:
        self._link = link
        self._outgoing = outgoing
        self._incoming = incoming
        self._closed = False
        self.peer_address = peer_address

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, waiting while the other side does not read.

        Raises:
            trio.BrokenResourceError: the connection broke, or the other side closed and that has become known here.
            trio.ClosedResourceError: this side closed.
            trio.BusyResourceError: another task is sending.
        """
        await self._outgoing.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room for at least one byte; raises what `send_all` does."""
        await self._outgoing.wait_room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next piece, or up to `max_bytes` bytes of it; empty once the other side has closed and all was read.

        Raises:
            trio.BrokenResourceError: the connection broke, and all that had arrived was read.
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
        if not self._closed:
            self._closed = True
            self._outgoing.end_now()
            self._incoming.leave_now()
            self._link.tell(self._outgoing.source, "net.close", self._link.name, b"")
        await trio.lowlevel.checkpoint()
