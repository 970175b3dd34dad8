"""The order in which trio runs tasks that are ready together, from a seed.

trio shuffles such tasks on purpose, so that nobody relies on an order. Its own switch for tests is private, hence this
is the only file that touches it, trio is pinned to one minor version, and `seeded_schedule` refuses to start where the
switch is not what it was. Source: ours (docs/internals/design.md).
"""

from __future__ import annotations

import gc
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast

import trio
from trio.testing import MockClock

from determinism.entropy import SeededEntropy

T = TypeVar("T")

__all__ = ["JumpClock", "Scheduler", "run_seeded", "run_simulated", "seeded_schedule"]

# Typed as Any: the names are private, and their absence is found below rather than by the type checker.
_trio_run = cast(Any, trio)._core._run


class _Order:
    """What trio asks of its generator: the methods of `random.Random` that its run loop uses."""

    def __init__(self, seed: int) -> None:
        self._entropy = SeededEntropy(seed).fork("schedule")

    def random(self) -> float:
        return self._entropy.random()

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self._entropy.random()

    def shuffle(self, batch: list[object]) -> None:
        for last in range(len(batch) - 1, 0, -1):
            other = self._entropy.below(last + 1)
            batch[last], batch[other] = batch[other], batch[last]


@contextmanager
def seeded_schedule(seed: int = 0) -> Iterator[None]:
    """Inside the block, a `trio.run` orders its tasks by `seed` alone.

    Not for a live node, and not for two runs at once: the switch belongs to the process. Cyclic garbage is not
    collected meanwhile, for finalizers would run at moments that no seed chooses.

    Raises:
        RuntimeError: this version of trio lacks the switch, or a run is in progress.
    """
    if not hasattr(_trio_run, "_r") or not hasattr(_trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING"):
        message = f"trio {trio.__version__} has no switch for deterministic scheduling; use the pinned version"
        raise RuntimeError(message)
    if trio.lowlevel.in_trio_run():
        message = "seeded_schedule must surround trio.run, not be entered within it"
        raise RuntimeError(message)
    before = _trio_run._r, _trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    collected = gc.isenabled()
    _trio_run._r, _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = _Order(seed), True
    gc.disable()
    try:
        yield
    finally:
        _trio_run._r, _trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before
        if collected:
            gc.enable()


def run_seeded(main: Callable[..., Awaitable[T]], *args: Any, seed: int = 0) -> T:
    """`trio.run(main, *args)` in virtual time that jumps, with the order of tasks drawn from `seed`.

    Deterministic as long as `main` reaches the world through `determinism.environment.seeded_environment` alone.
    """
    with seeded_schedule(seed):
        return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


class Scheduler(Protocol):
    """Decides each step of a simulated run."""

    def pick(self, tasks: list[trio.lowlevel.Task]) -> int:
        """Which of the runnable tasks takes the next step, as a position; the others stay runnable."""

    def stuck(self) -> bool:
        """Nothing can ever run again. True when something was done about it, such as a cancellation."""

    def late(self) -> None:
        """The clock has come to its alarm."""


class JumpClock(trio.abc.Clock):
    """Virtual time that goes straight to the next deadline once nothing is runnable.

    trio asks for the time to sleep exactly then, and gives the next deadline: jumping here costs nothing and loses no
    precision, unlike a clock that watches from outside.

    Args:
        start_s: what the clock shows at first; not 0, which means "never" in places.
    """

    def __init__(self, start_s: float = 1.0) -> None:
        self.now_s = start_s
        self.start_s = start_s
        self.jumps = 0
        self._slack_s = 0.0
        self.scheduler: Scheduler | None = None
        #: When the scheduler is told that it is late. No deadline of trio's: one could not see then that nothing else
        #: will ever happen.
        self.alarm_s = math.inf

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""

    def current_time(self) -> float:
        """See `trio.abc.Clock`."""
        slack_s, self._slack_s = self._slack_s, 0.0
        return self.now_s + slack_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """See `trio.abc.Clock`."""
        if deadline <= self.now_s:
            return 0
        runner = _trio_run.GLOBAL_RUN_CONTEXT.runner
        if runner.entry_queue.queue or runner.entry_queue.idempotent_queue:
            return 0
        if runner.waiting_for_idle:
            return 1.0  # those who wait until all tasks are blocked come before a jump
        if deadline == math.inf:
            if self.scheduler is None or not self.scheduler.stuck():
                message = "nothing can ever run again, and nothing that was done about it helped"
                raise RuntimeError(message)
            return 0
        if deadline > self.alarm_s:
            self.now_s = max(self.now_s, self.alarm_s)
            self.alarm_s = math.inf
            if self.scheduler is not None:
                self.scheduler.late()
            return 0
        # Deadlines that differ by rounding alone are due at the same moment, and may come in either order. What is
        # added for that is seen by trio alone, in its next look for what is due: five seconds are as long as five
        # times one.
        self.now_s = max(deadline, round(deadline, _DIGITS))
        self._slack_s = _SAME_S
        self.jumps += 1
        return 0


_SAME_S = 1e-9
_DIGITS = 9


class _OneStep:
    """In the place of trio's generator: of each batch of runnable tasks one runs, the others go back."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._pick = scheduler.pick

    def random(self) -> float:
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        del high
        return low

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        if batch:
            chosen = batch.pop(self._pick(batch))
            _trio_run.GLOBAL_RUN_CONTEXT.runner.runq.extend(batch)
            batch[:] = (chosen,)


class _NoIo:
    """In the place of trio's I/O manager: no descriptor is ever waited for, and no system call made."""

    def __init__(self) -> None:
        self._parked: trio.lowlevel.Task | None = None

    def statistics(self) -> Any:
        return None

    def close(self) -> None:
        """Nothing is open."""

    def force_wakeup(self) -> None:
        """Nobody sleeps."""

    def get_events(self, timeout: float) -> tuple[()]:
        del timeout
        return ()

    def process_events(self, events: object) -> None:
        del events
        task = self._parked
        if task is not None:
            queue = _trio_run.GLOBAL_RUN_CONTEXT.runner.entry_queue
            if queue.queue or queue.idempotent_queue:
                self._parked = None
                trio.lowlevel.reschedule(task)

    async def wait_readable(self, fd: object) -> None:
        runner = _trio_run.GLOBAL_RUN_CONTEXT.runner
        if fd is not runner.entry_queue.wakeup.wakeup_sock:
            message = f"real I/O in a simulation: waiting until {fd!r} is readable"
            raise RuntimeError(message)

        def abort(_raise: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._parked = trio.lowlevel.current_task()  # trio's own entry queue
        await trio.lowlevel.wait_task_rescheduled(abort)

    async def wait_writable(self, fd: object) -> None:
        message = f"real I/O in a simulation: waiting until {fd!r} is writable"
        raise RuntimeError(message)

    def notify_closing(self, fd: object) -> None:
        """Nothing waits for it."""


def run_simulated(main: Callable[..., Awaitable[T]], *args: Any, scheduler: Scheduler, clock: JumpClock) -> T:
    """`trio.run(main, *args)` where `scheduler` chooses every step and time jumps.

    Not in a process that runs another trio program at the time: what is replaced belongs to the process. Cyclic garbage
    is collected before and after, never meanwhile.

    Raises:
        RuntimeError: this version of trio is not the one that was built for, or a run is in progress.
    """
    for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "TheIOManager", "GLOBAL_RUN_CONTEXT"):
        if not hasattr(_trio_run, name):
            message = f"trio {trio.__version__} has no {name}, on which simulation rests; use the pinned version"
            raise RuntimeError(message)
    clock.scheduler = scheduler
    with seeded_schedule():
        manager = _trio_run.TheIOManager
        _trio_run._r, _trio_run.TheIOManager = _OneStep(scheduler), _NoIo
        try:
            return trio.run(main, *args, clock=clock)
        finally:
            _trio_run.TheIOManager = manager
            clock.scheduler = None
