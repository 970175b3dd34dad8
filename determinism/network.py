"""A network inside a simulation: named hosts, distances, broken connections, and never a real socket.

All of the app runs on one host, `app` where it connects and `localhost` where it listens. A scenario's connections
come from `scenario`, and no fault strikes them. Other hosts are whatever somebody listens as
(`listen("api.example.com", 443)`); a host that nobody plays would be the real network, which is refused.

Faults are asked for with these places: `connection_reset` and `partition` with `app>HOST:PORT`, the name of the
connection; `partition_one_way` and `clogged_link` with the direction of the bytes (`app>HOST:PORT` or `HOST:PORT>app`).
Only resets are asked for where the app connects to itself. Source: ours (architecture, section 2).
"""

from __future__ import annotations

import errno

import trio

from determinism.faults import exempt
from determinism.memory import MemoryNetwork, host_of
from determinism.network_stream import Link, SimulatedStream, Told, Weather
from determinism.seams import Entropy, Faults, Listener, NoFaults, Stream

__all__ = ["RealNetworkError", "SimulatedNetwork", "SimulatedStream", "exempt"]

_FIRST_CLIENT_PORT = 32_768
_CLIENT_PORTS_COUNT = 16_384
_REFUSED_COUNT = 100


class RealNetworkError(OSError):
    """A simulated program tried to reach a host that the simulation does not have."""


def _nobody(actor: str, what: str, about: str, data: bytes) -> None:
    """Nobody wants to be told."""


class SimulatedNetwork(MemoryNetwork):
    """TCP inside a simulation.

    Args:
        entropy: draws distances, and how bytes are cut into pieces; forked for each connection and direction, so that
            the draws of one shift no other's.
        faults: asked about resets, partitions and clogged links.
        latency_s: the shortest and the longest time one way between two hosts, in virtual seconds.
        record: told of connections, of what is read, of resets and closings (as `World.record`).

    Connections at a path (`connect_local`) are inside one machine: they take no time, and no fault strikes them.
    """

    def __init__(
        self,
        entropy: Entropy,
        faults: Faults | None = None,
        *,
        latency_s: tuple[float, float] = (0.000_1, 0.005),
        record: Told = _nobody,
    ) -> None:
        super().__init__()
        self.weather = Weather(entropy, faults or NoFaults(), latency_s)
        #: Places that were refused because reaching them would have taken the real network, each once.
        self.refused: list[str] = []
        self._record = record
        self._connections_count = 0
        self._expected: dict[tuple[str, int], trio.Event] = {}
        self._links: dict[int, Link] = {}

    def expect(self, host: str, port: int) -> None:
        """Somebody will listen there: connections wait until then, instead of being refused."""
        self._expected[host_of(host), port] = trio.Event()

    async def listen(self, host: str, port: int, *, backlog: int = 1024) -> Listener:
        """See `MemoryNetwork.listen`."""
        listener = await super().listen(host, port, backlog=backlog)
        expected = self._expected.pop((host_of(host), port), None)
        if expected is not None:
            expected.set()
        return listener

    async def connect(self, host: str, port: int) -> Stream:
        """Connect to an open listener; takes a way there and back, and waits while a partition lies between.

        Raises:
            ConnectionRefusedError: nothing listens at that port of a host that there is.
            RealNetworkError: there is no such host in the simulation.
        """
        await trio.lowlevel.checkpoint()
        name = host_of(host)
        target = f"{name}:{port}"
        expected = self._expected.get((name, port))
        if expected is not None:
            await expected.wait()
        if self.listener_at(host, port) is None and name != "localhost" and not self.knows(host):
            raise self._real(f"{host}:{port}")
        unstruck = exempt.get()
        source = "scenario" if unstruck else "app"
        self._connections_count += 1
        link = Link(self._connections_count, (source, target), self.weather, exempt=unstruck, tell=self._record)
        await self._travel(link, source, target)
        listener = self.listener_at(host, port)
        port_number = _FIRST_CLIENT_PORT + self._connections_count % _CLIENT_PORTS_COUNT
        ours = SimulatedStream(link, link.there, link.back, f"127.0.0.1:{port}")
        theirs = SimulatedStream(link, link.back, link.there, f"127.0.0.1:{port_number}")
        if listener is None or not await listener.offer(theirs):
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"connection refused: {host}:{port}")
        self._keep(link)
        self._record(source, "net.connect", target, b"")
        return ours

    async def _travel(self, link: Link, source: str, target: str) -> None:
        link.change(source, target)
        link.change(target, source)
        weather = self.weather
        arrives_s = trio.current_time()
        for here, there in ((source, target), (target, source)):
            if not link.exempt:
                arrives_s = max(arrives_s, weather.held_until_s(here, there))
            arrives_s += weather.distance_s(here, there)
        await trio.sleep_until(arrives_s)

    def _keep(self, link: Link) -> None:
        for number in [number for number, known in self._links.items() if known.is_over]:
            del self._links[number]
        self._links[link.number] = link

    def cut(self, why: str = "connection reset by peer: the machine went down (simulated)") -> int:
        """Break every open connection at once, as when the app's machine goes down; returns how many there were."""
        links, self._links = self._links, {}
        for link in links.values():
            link.reset(why)
        return len(links)

    def _real(self, place: str) -> RealNetworkError:
        if place not in self.refused and len(self.refused) < _REFUSED_COUNT:
            self.refused.append(place)
        message = f"real network in simulation: {place}; give the scenario a simulated peer"
        return RealNetworkError(errno.ENETUNREACH, message)
