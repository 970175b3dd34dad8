"""The order in which trio runs tasks that are ready together, from a seed.

trio shuffles such tasks on purpose, so that nobody relies on an order. Its own switch for tests is private, hence this
is the only file that touches it, trio is pinned to one minor version, and `seeded_schedule` refuses to start where the
switch is not what it was. Source: ours (docs/internals/design.md).
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import trio
from trio.testing import MockClock

from determinism.entropy import SeededEntropy

T = TypeVar("T")

__all__ = ["run_seeded", "seeded_schedule"]

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
