"""Work in place of threads: latency from the seed, slow disks, cancellation, and no real waiting."""

from __future__ import annotations

import socket

import pytest
import trio

from determinism.entropy import SeededEntropy
from determinism.faults import FaultPlan, exempt, observer
from determinism.guard import RealIoError
from determinism.threads import SimulatedThreads


async def _times(seed: int, *, noise: bool = False) -> list[float]:
    threads = SimulatedThreads(SeededEntropy(seed))
    began_s = trio.current_time()
    told: list[float] = []
    for _ in range(20):
        if noise:
            await threads.run(abs, -1, lane="other")
            began_s = trio.current_time() - (told[-1] if told else 0)
        await threads.run(abs, -1, lane="fs:a")
        told.append(trio.current_time() - began_s)
    return [round(time_s, 6) for time_s in told]


async def test_latency_comes_from_the_seed_and_the_lane(autojump_clock) -> None:
    first = await _times(1)
    assert first == await _times(1)
    assert first == await _times(1, noise=True)
    assert first != await _times(2)
    steps = [after - before for before, after in zip([0.0, *first], first, strict=False)]
    assert all(0.000_099 <= step <= 0.005_001 for step in steps)


async def test_the_work_comes_before_the_wait_or_after_it(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1), least_s=1, mean_s=0, most_s=1)
    seen = set()
    for _ in range(20):
        began_s = trio.current_time()
        seen.add(round(await threads.run(trio.current_time) - began_s))
        assert trio.current_time() - began_s == pytest.approx(1)
    assert seen == {0, 1}


async def test_cancellation_stops_work_that_has_not_begun_and_no_other(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1), least_s=1, mean_s=0, most_s=1)
    outcomes = set()
    for _ in range(20):
        done: list[int] = []

        def work(done: list[int] = done) -> str:
            done.append(1)
            return "came back"

        result = None
        with trio.move_on_after(0.5):
            result = await threads.run(work)
        outcomes.add((len(done), result))
    assert outcomes == {(0, None), (1, "came back")}


async def test_who_abandons_does_not_wait(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1), least_s=9, mean_s=0, most_s=9)
    for _ in range(10):
        began_s = trio.current_time()
        with trio.move_on_after(0.5):
            await threads.run(abs, -1, abandon_on_cancel=True)
        assert trio.current_time() - began_s == pytest.approx(0.5)


async def test_errors_are_the_works_own(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1))
    for _ in range(8):
        with pytest.raises(ValueError, match="invalid literal"):
            await threads.run(int, "x")


async def test_a_slow_disk(autojump_clock) -> None:
    plan = FaultPlan(SeededEntropy(1), ["disk_slow"], probabilities={"disk_slow": 1}, budgets={"disk_slow": 1})
    threads = SimulatedThreads(SeededEntropy(1), plan)
    began_s = trio.current_time()
    await threads.run(abs, -1, lane="crypto")
    assert not plan.struck
    token = exempt.set(True)
    await threads.run(abs, -1, lane="sql:app:db")
    exempt.reset(token)
    assert not plan.struck
    await threads.run(abs, -1, lane="sql:app:db")
    assert [(strike.kind, strike.where) for strike in plan.struck] == [("disk_slow", "sql:app:db")]
    assert 0.3 < trio.current_time() - began_s <= 30.1
    began_s = trio.current_time()
    await threads.run(abs, -1, lane="sql:app:db")
    assert trio.current_time() - began_s < 0.1


async def test_observers_take_no_time_and_shift_no_draws(autojump_clock) -> None:
    threads, same = SimulatedThreads(SeededEntropy(1)), SimulatedThreads(SeededEntropy(1))
    began_s = trio.current_time()
    token = observer.set(True)
    assert await threads.run(abs, -1) == 1
    observer.reset(token)
    assert trio.current_time() == began_s
    await threads.run(abs, -1)
    took_s, began_s = trio.current_time() - began_s, trio.current_time()
    await same.run(abs, -1)
    assert trio.current_time() - began_s == pytest.approx(took_s)


async def test_a_lane_has_eight_places(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1), least_s=1, mean_s=0, most_s=1)
    began_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(threads.run, abs, -1)
    assert trio.current_time() - began_s == pytest.approx(2)


async def test_work_that_waits_for_real_is_refused(autojump_clock) -> None:
    threads = SimulatedThreads(SeededEntropy(1))
    with pytest.raises(RealIoError, match="abs would wait in lane 'stdin'"):
        await threads.run(abs, -1, lane="stdin")

    def call_out() -> None:
        with socket.socket() as made:
            made.connect(("127.0.0.1", 9))

    with pytest.raises(RealIoError, match=r"socket.connect to .*127.*, by .*test_threads.py:\d+ in call_out"):
        await threads.run(call_out)
