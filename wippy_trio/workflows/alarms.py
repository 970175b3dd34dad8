"""Times at which something is to be done, for any number of runs: one heap, one task. Source: ours."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from determinism.seams import Clock

__all__ = ["Alarms"]

_NS = 1_000_000_000
_LONGEST_S = 60.0  # the wall clock may be set meanwhile


class Alarms:
    """Calls `ring(run_id, seq)` when its time has come; whoever is rung looks whether that still matters.

    Args:
        clock: wall time.
        ring: what is called; it does not wait.
    """

    def __init__(self, clock: Clock, ring: Callable[[str, int], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._heap: list[tuple[int, int, str, int]] = []
        self._count = 0
        self._changed = trio.Event()

    def set(self, due_ns: int, run_id: str, seq: int) -> None:
        """Ring at a Unix time."""
        self._count += 1
        heapq.heappush(self._heap, (due_ns, self._count, run_id, seq))
        if self._heap[0][1] == self._count:
            self._changed.set()

    async def run(self) -> None:
        """Ring, until cancelled."""
        while True:
            self._changed = trio.Event()
            now_ns = self._clock.wall_ns()
            while self._heap and self._heap[0][0] <= now_ns:
                _, _, run_id, seq = heapq.heappop(self._heap)
                self._ring(run_id, seq)
            if self._heap:
                wait_s = min(max((self._heap[0][0] - now_ns) / _NS, 0.0), _LONGEST_S)
                with trio.move_on_after(wait_s):
                    await self._changed.wait()
            else:
                await self._changed.wait()
