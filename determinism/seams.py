"""The seams: everything a run may not invent for itself.

Time, randomness, identifiers, threads, files and sockets reach the runtime only through the Protocols of this
module, so that a simulation can put its own implementations in their place. A house test fails on any direct
use elsewhere. Source: ours (architecture, section 4).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
_SIMULATED = "a simulated run has no sockets of foreign libraries"

__all__ = [
    "Clock",
    "Descriptors",
    "Disk",
    "Entropy",
    "Environment",
    "Faults",
    "FileStat",
    "Ids",
    "Listener",
    "Network",
    "NoDescriptors",
    "NoFaults",
    "Stream",
    "Strike",
    "Threads",
    "World",
]


@runtime_checkable
class Clock(Protocol):
    """Wall time and monotonic time. Sleeping is trio's, whose own clock is part of the same seam."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean anything."""

    def cpu_s(self) -> float:
        """Seconds for CPU budgets: real ones when live; in a simulation each look counts as a fixed step, so that
        where a budget ends depends on the work done and not on the machine.
        """

    def zone(self) -> str:
        """IANA name of the local time zone (`UTC` where it is unknown)."""


@runtime_checkable
class Entropy(Protocol):
    """A source of random bytes and numbers; seeded ones give the same draws for the same seed."""

    def random_bytes(self, count: int) -> bytes:
        """`count` random bytes (0 or more)."""

    def random(self) -> float:
        """A float in [0, 1)."""

    def below(self, bound: int) -> int:
        """An integer in [0, bound); `bound` is at least 1."""

    def fork(self, label: str) -> Entropy:
        """A stream of its own for `label`, so that a new draw elsewhere does not shift its draws."""


@runtime_checkable
class Ids(Protocol):
    """Identifiers, so that two runs of one seed name things alike."""

    def unique(self) -> str:
        """A short token, unique in this run (used in PIDs)."""

    def uuid(self) -> str:
        """A random (version 4) UUID in its canonical text form."""


class Threads(Protocol):
    """Blocking work outside the trio thread; a simulation runs it inline with virtual latency."""

    async def run(
        self,
        function: Callable[..., T],
        *args: object,
        lane: str = "default",
        abandon_on_cancel: bool = False,
    ) -> T:
        """Run `function(*args)` in a worker thread and return its result.

        `lane` names a bounded pool (8 threads each), so that a slow resource starves only itself.
        With `abandon_on_cancel` a cancelled caller leaves at once and the thread's result is dropped.
        """


@dataclass(frozen=True, slots=True)
class FileStat:
    """What is known of a file: `modified_ns` is Unix time, `mode` the permission bits."""

    size_bytes: int
    modified_ns: int
    mode: int
    is_dir: bool


class Disk(Protocol):
    """Files by absolute path. Every call may block: callers run them through `Threads`.

    Errors are the `OSError` family.
    """

    def open(self, path: str, mode: str) -> BinaryIO:
        """Open a binary file; `mode` as for the built-in `open`, always with `b`."""

    def stat(self, path: str) -> FileStat: ...
    def list(self, path: str) -> list[str]: ...
    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None: ...
    def remove(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def rename(self, source: str, target: str) -> None: ...
    def realpath(self, path: str) -> str: ...
    def chmod(self, path: str, mode: int) -> None: ...
    def exists(self, path: str) -> bool: ...
    def sync(self, file: BinaryIO) -> None:
        """Make what was written to an open file durable: it survives a loss of power from then on."""


class Stream(Protocol):
    """A two-way byte stream (the part of `trio.abc.Stream` that is used)."""

    async def send_all(self, data: bytes) -> None: ...
    async def receive_some(self, max_bytes: int | None = None) -> bytes: ...
    async def aclose(self) -> None: ...


class Listener(Protocol):
    """Accepts streams. `address` is `host:port` as bound (the real port where 0 was asked), or a socket's path."""

    @property
    def address(self) -> str: ...
    async def accept(self) -> Stream: ...
    async def aclose(self) -> None: ...


class Network(Protocol):
    """TCP, and sockets with a path on this machine, as a seam. Errors are the `OSError` family."""

    async def listen(self, host: str, port: int, *, backlog: int = 1024) -> Listener: ...
    async def connect(self, host: str, port: int) -> Stream: ...
    async def listen_local(self, path: str, *, backlog: int = 16) -> Listener:
        """Listen at a path, for this user only; what a listener that is gone left there is replaced."""

    async def connect_local(self, path: str) -> Stream: ...


class Descriptors(Protocol):
    """Sockets that a foreign library opened and reads itself, as libpq does. A simulation has none."""

    async def wait(self, descriptor: int, *, read: bool, write: bool) -> tuple[bool, bool]:
        """Wait until `descriptor` can be read (if `read`) or written (if `write`); which of the two it can.

        Raises:
            OSError: it is closed, or this run is a simulation (`EOPNOTSUPP`).
        """

    async def addresses(self, host: str) -> Sequence[str]:
        """The IP addresses of `host`, best first, at least one. Errors are the `OSError` family."""

    def closing(self, descriptor: int) -> None:
        """Say that `descriptor` is about to be closed: who waits for it gets an error."""


class NoDescriptors:
    """Foreign sockets where there are none: everything is refused."""

    async def wait(self, descriptor: int, *, read: bool, write: bool) -> tuple[bool, bool]:
        del descriptor, read, write
        raise OSError(errno.EOPNOTSUPP, _SIMULATED)

    async def addresses(self, host: str) -> Sequence[str]:
        del host
        raise OSError(errno.EOPNOTSUPP, _SIMULATED)

    def closing(self, descriptor: int) -> None:
        """Nothing waits."""
        del descriptor


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that strikes.

    Attributes:
        kind: name of the fault (`determinism.faults.FAULTS`).
        where: the place that asked: a file's path, a PID, an address, an operation.
        number: how many times this place had been asked about this kind before (0 = the first).
        draw: a number in [0, 1) from which the place derives how bad it is (how long, how many bytes).
        bound_s: the longest virtual time the effect may last; 0 where it is over at once.
    """

    kind: str
    where: str
    number: int
    draw: float
    bound_s: float = 0.0

    @property
    def lasts_s(self) -> float:
        """Virtual seconds, from a hundredth of the bound up to the bound; short ones are more likely."""
        return float(self.bound_s * 0.01 ** (1.0 - self.draw))

    @property
    def key(self) -> tuple[str, str, int]:
        """What names the same fault in another run."""
        return self.kind, self.where, self.number


class Faults(Protocol):
    """Decides which faults strike."""

    def strike(self, kind: str, where: str) -> Strike | None:
        """Ask at a place where `kind` could strike; a strike is to be carried out by the one who asked."""


class NoFaults:
    """Nothing is made to fail: the plan of a live node, and of a run without faults."""

    def strike(self, kind: str, where: str) -> None:
        """Never."""
        del kind, where


class Crew(Protocol):
    """Actors that share a task, which runs one of them at a time."""

    def take_ready(self) -> Sequence[tuple[int, str]]:
        """(number, name) of those that became ready since it was asked last, in that order."""

    def run_next(self, number: int) -> None:
        """The task's next step is to run this one."""


class World(Protocol):
    """A simulated world, as the engine meets it: it orders, and it is told what happens. A live node has none."""

    @property
    def detail(self) -> bool:
        """Whether it wants to know all that could differ between two runs: lines, payloads, results of all calls."""

    def adopt(self, crew: Crew) -> None:
        """The current task runs the actors of `crew`: the world chooses among them, and among all that is ready."""

    def record(self, actor: str, what: str, about: str = "", data: bytes = b"") -> None:
        """An event for the trace: who, what, about whom or what, and what bytes were involved."""

    def is_exempt(self, actor: str) -> bool:
        """Whether an actor (by the name it has in the trace) is a scenario's or an invariant's: no fault strikes it."""

    def host_killed(self, host: str) -> None:
        """A host was killed by a fault: what it had not synced may be lost."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The frozen bundle of seams that one run lives in."""

    clock: Clock
    entropy: Entropy
    ids: Ids
    threads: Threads
    disk: Disk
    network: Network
    faults: Faults = field(default_factory=NoFaults)
    world: World | None = None
    descriptors: Descriptors = field(default_factory=NoDescriptors)
