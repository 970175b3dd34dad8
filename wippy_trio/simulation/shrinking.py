"""The least life that still fails alike: fewer faults, fewer switches, then a smaller workload.

Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs

from determinism.seams import Clock, Strike
from determinism.shrink import shrink
from determinism.simulate import Bounds
from wippy_trio.simulation.world import Failure, Life, LifeSpec, SimulatedApp, live

__all__ = ["SHRINK_S", "shrink_life", "workload_of"]

SHRINK_S = 30.0
#: Other seeds that are tried with a smaller workload, where the life itself does not fail with it.
_OTHER_SEEDS = 12
#: Faults and switches with which one may be content.
_SMALL_COUNT = 2


def workload_of(app: SimulatedApp, spec: LifeSpec) -> Mapping[str, int]:
    """The numbers that a life gives to its scenario: those of the life, or of the scenario's `meta.workload`."""
    if spec.workload is not None:
        return spec.workload
    return next((one.workload for one in app.scenarios if str(one.id) == spec.scenario), {})


def shrink_life(
    app: SimulatedApp, life: Life, clock: Clock, limit_s: float = SHRINK_S, *, workload: bool = True
) -> Life | None:
    """The least life that fails alike, as a life with its log; None where it does not fail again.

    Args:
        app: the app.
        life: one that failed.
        clock: for the limit.
        limit_s: seconds of the machine's time.
        workload: shrink the workload too, after faults and switches.
    """
    assert life.failure is not None
    began_s = clock.monotonic_s()

    def out_of_time() -> bool:
        return clock.monotonic_s() - began_s > limit_s

    least = _least(app, life.spec, life.failure, out_of_time)
    if least is None:
        return None
    if workload:
        least = _with_less_work(app, life, least, out_of_time)
    return _another_way(app, life, least, lambda: clock.monotonic_s() - began_s > limit_s / 4)


def _another_way(app: SimulatedApp, life: Life, least: Life, out_of_time: Callable[[], bool]) -> Life:
    """Of other seeds that fail alike the least, where little by little led to no small one: another way may."""
    assert life.failure is not None
    for spec in _candidates(life.spec, least.spec, workload_of(app, least.spec)):
        if _weight(least) <= _SMALL_COUNT or out_of_time():
            break
        tried = live(app, spec)
        if tried.failure is not None and tried.failure.same_as == life.failure.same_as:
            other = _least(app, tried.spec, life.failure, out_of_time)
            if other is not None and _weight(other) < _weight(least):
                least = other
    return least


def _weight(life: Life) -> int:
    return len(life.strikes) + len(life.made)


def _with_less_work(app: SimulatedApp, life: Life, least: Life, out_of_time: Callable[[], bool]) -> Life:
    """Greedily: each number of the workload is halved for as long as that fails, then lessened by one."""
    whole = workload_of(app, life.spec)
    for lessen in (_half, _one_less):
        for name in sorted(whole, key=lambda name: (-whole[name], name)):
            numbers = workload_of(app, least.spec)
            while numbers[name] > 1 and not out_of_time():
                fewer = {**numbers, name: lessen(numbers[name])}
                found = _failing(app, life, least, fewer, out_of_time)
                if found is None:
                    break
                least, numbers = found, fewer
    return least


def _half(count: int) -> int:
    return count // 2


def _one_less(count: int) -> int:
    return count - 1


def _failing(
    app: SimulatedApp, life: Life, least: Life, workload: Mapping[str, int], out_of_time: Callable[[], bool]
) -> Life | None:
    """The least life with that workload that fails as `life` did."""
    assert life.failure is not None
    for spec in _candidates(life.spec, least.spec, workload):
        if out_of_time():
            return None
        tried = live(app, spec)
        if tried.failure is not None and tried.failure.same_as == life.failure.same_as:
            return _least(app, tried.spec, life.failure, out_of_time)
    return None


def _candidates(first: LifeSpec, least: LifeSpec, workload: Mapping[str, int]) -> Iterator[LifeSpec]:
    """The least life with another workload, then the life as it was found, then other seeds."""
    yield attrs.evolve(least, workload=workload, keep=False)
    drawn = attrs.evolve(
        first, workload=workload, keep=False, strikes=None, schedule=None, order=None, bounds=least.bounds
    )
    if drawn.strategy == "dfs":
        drawn = attrs.evolve(drawn, strategy="random")
    for number in range(_OTHER_SEEDS):
        yield attrs.evolve(drawn, seed=first.seed + number)


def _least(app: SimulatedApp, spec: LifeSpec, failure: Failure, out_of_time: Callable[[], bool]) -> Life | None:
    whole = live(app, attrs.evolve(spec, keep=True))
    # The least schedule runs one actor for as long as it can, which may take a poller for ever: a bound well beyond.
    bounds = Bounds(steps=20 * whole.steps + 20_000, real_s=spec.bounds.real_s)

    def asked(strikes: tuple[Strike, ...], schedule: Mapping[int, str], *, keep: bool = False) -> LifeSpec:
        return attrs.evolve(spec, strikes=strikes, schedule=schedule, order=None, keep=keep, bounds=bounds)

    def attempt(strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> Mapping[int, str] | None:
        tried = live(app, asked(strikes, schedule))
        return tried.made if tried.failure is not None and tried.failure.same_as == failure.same_as else None

    start = dict(enumerate(whole.names)) if spec.schedule is None else whole.made
    found = shrink(attempt, whole.strikes, start, out_of_time)
    return None if found is None else live(app, asked(found.strikes, found.schedule, keep=True))
