from __future__ import annotations

import trio

from determinism.clock import VirtualClock
from wippy_trio.workflows.alarms import Alarms

_NS = 1_000_000_000


async def test_they_ring_in_order_and_on_time(autojump_clock):
    clock, rung = VirtualClock(), []
    alarms = Alarms(clock, lambda run_id, seq: rung.append((run_id, seq, (clock.wall_ns() - start) // _NS)))
    start = clock.wall_ns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        alarms.set(start + 3_600 * _NS, "a", 1)
        alarms.set(start + 5 * _NS, "b", 2)
        await trio.sleep(1)
        alarms.set(start + 2 * _NS, "c", 3)
        alarms.set(start, "d", 4)
        await trio.sleep(4_000)
        nursery.cancel_scope.cancel()
    assert rung == [("d", 4, 1), ("c", 3, 2), ("b", 2, 5), ("a", 1, 3_600)]


async def test_a_clock_that_is_set_forward_is_noticed(autojump_clock):
    clock, rung = VirtualClock(), []
    alarms = Alarms(clock, lambda run_id, _seq: rung.append(run_id))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        alarms.set(clock.wall_ns() + 10 * 86_400 * _NS, "a", 1)
        await trio.sleep(1)
        clock.jump(10 * 86_400 * _NS)
        await trio.sleep(61)
        assert rung == ["a"]
        nursery.cancel_scope.cancel()
