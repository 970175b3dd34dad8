"""Waiting for a turn at a thing of which there is one: fair, bounded in time and in the number of waiters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from determinism.seams import Clock
from wippy_trio.core.errors import RateLimitedError, TimeoutExpiredError

__all__ = ["Turn"]


class Turn:
    """One holder at a time, first come first served.

    Unlike `trio.Lock` the holder is not a task: a transaction takes the turn in one task and gives it back in another.

    Args:
        what: the thing, for error texts.
        clock: measures how long callers waited.
        wait_s: longest wait, in seconds.
        waiters_max_count: callers that may wait at once.
    """

    def __init__(self, what: str, clock: Clock, *, wait_s: float = 30.0, waiters_max_count: int = 1024) -> None:
        self._what = what
        self._clock = clock
        self._wait_s = wait_s
        self._waiters_max_count = waiters_max_count
        self._free = trio.Semaphore(1, max_value=1)
        self.wait_count = 0
        self.wait_ns = 0

    @property
    def taken(self) -> bool:
        """Whether someone holds the turn."""
        return self._free.value == 0

    @property
    def waiters_count(self) -> int:
        """How many wait."""
        return self._free.statistics().tasks_waiting

    async def take(self) -> None:
        """Wait for the turn; the caller must `give_now` it back.

        Raises:
            TimeoutExpiredError: not within `wait_s`.
            RateLimitedError: too many wait already.
        """
        await trio.lowlevel.checkpoint()
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            await self._take_waiting()

    async def _take_waiting(self) -> None:
        if self.waiters_count >= self._waiters_max_count:
            raise RateLimitedError(f"{self._what} is busy: {self._waiters_max_count} callers wait already")
        self.wait_count += 1
        began_s = self._clock.monotonic_s()
        taken = False
        with trio.move_on_after(self._wait_s):
            await self._free.acquire()
            taken = True
        self.wait_ns += round((self._clock.monotonic_s() - began_s) * 1e9)
        if not taken:
            raise TimeoutExpiredError(f"{self._what} is busy: no turn within {self._wait_s:g} s")

    def give_now(self) -> None:
        """Give the turn to the next waiter."""
        self._free.release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the turn inside the block. Raises as `take`."""
        await self.take()
        try:
            yield
        finally:
            self.give_now()
