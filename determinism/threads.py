"""Threads of a simulated world: the work runs in place, after (or before) a wait that is drawn from the seed.

Source: ours (architecture, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeVar

import trio

from determinism.faults import observer
from determinism.guard import RealIoError, no_real_io
from determinism.seams import Entropy, Faults, NoFaults

T = TypeVar("T")

__all__ = ["SimulatedThreads"]

_LANE_THREADS: Final = 8
#: Lanes whose work waits for disks, by what stands before the colon.
_DISK_LANES: Final = frozenset({"env", "fs", "sql", "workflows"})
#: Lanes whose work waits for people: there is nobody in a simulation.
_BLOCKING_LANES: Final = frozenset({"stdin"})


class _Lane:
    """What one lane has of its own: a stream of draws, so that one lane's do not shift another's, and eight places."""

    __slots__ = ("entropy", "free", "on_disk")

    def __init__(self, name: str, entropy: Entropy) -> None:
        self.entropy = entropy.fork(name)
        self.free = trio.Semaphore(_LANE_THREADS, max_value=_LANE_THREADS)
        self.on_disk = name.partition(":")[0] in _DISK_LANES


class SimulatedThreads:
    """`Threads` without threads.

    Args:
        entropy: of the latencies; each lane has a fork of its own.
        faults: asked `disk_slow` at each work of a lane that waits for a disk, with the lane as the place.
        least_s, mean_s, most_s: latency of a work in virtual seconds: the least, the mean of what comes on top
            (exponential), and the most.

    Half of the waits come before the work and half after it, so that what a caller does meanwhile may see either. A
    caller that is cancelled before the work leaves without it; once begun, the work is not cut short, and the caller
    gets its result even when cancelled, as with a real thread. An observer's work takes no time and draws nothing.
    """

    def __init__(
        self,
        entropy: Entropy,
        faults: Faults | None = None,
        *,
        least_s: float = 0.000_1,
        mean_s: float = 0.001,
        most_s: float = 0.005,
    ) -> None:
        self._entropy = entropy
        self._faults: Faults = faults or NoFaults()
        self._least_s, self._mean_s, self._most_s = least_s, mean_s, most_s
        self._lanes: dict[str, _Lane] = {}
        self._guard = no_real_io()

    async def run(
        self,
        function: Callable[..., T],
        *args: object,
        lane: str = "default",
        abandon_on_cancel: bool = False,
    ) -> T:
        """See `Threads.run`.

        Raises:
            RealIoError: the work blocks for real, or reaches for the real world; it names the caller.
        """
        if lane in _BLOCKING_LANES:
            name = getattr(function, "__qualname__", repr(function))
            raise RealIoError(f"real input or output in a simulation: {name} would wait in lane {lane!r}")
        if observer.get():
            await trio.lowlevel.checkpoint()
            with self._guard:
                return function(*args)
        own = self._lanes.get(lane)
        if own is None:
            own = self._lanes[lane] = _Lane(lane, self._entropy)
        wait_s = self._latency_s(own.entropy)
        if own.on_disk:
            strike = self._faults.strike("disk_slow", lane)
            if strike is not None:
                wait_s += strike.lasts_s
        try:
            own.free.acquire_nowait()
        except trio.WouldBlock:
            await own.free.acquire()
        try:
            return await self._work(lambda: function(*args), wait_s, own, abandon_on_cancel)
        finally:
            own.free.release()

    async def _work(self, work: Callable[[], T], wait_s: float, own: _Lane, abandon_on_cancel: bool) -> T:
        if own.entropy.below(2):
            await trio.sleep(wait_s)
            with self._guard:
                return work()
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            with self._guard:
                return work()
        finally:
            with trio.CancelScope(shield=not abandon_on_cancel):
                await trio.sleep(wait_s)

    def _latency_s(self, entropy: Entropy) -> float:
        """Rounded to microseconds, so that the last digit of a logarithm decides nothing."""
        drawn = self._least_s - self._mean_s * math.log(1.0 - entropy.random())
        return round(min(drawn, self._most_s), 6)
