"""Clocks and timers of a simulation, as a Lua program meets them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import trio.testing

from determinism.clock import SimulatedClock
from determinism.entropy import SeededEntropy
from determinism.environment import seeded_environment
from determinism.faults import FaultPlan
from determinism.seams import Environment

Clock = trio.testing.MockClock


@pytest.fixture
def environment(request: Any, autojump_clock: Clock) -> Environment:
    """Every one of the kinds that the test asks for strikes at the first occasion, once (jitter always)."""
    kinds = request.param
    budgets = {kind: 1000 if kind == "timer_jitter" else 1 for kind in kinds}
    plan = FaultPlan(SeededEntropy(5), kinds, probabilities=dict.fromkeys(kinds, 1.0), budgets=budgets)
    return dataclasses.replace(seeded_environment(7), faults=plan, clock=SimulatedClock(plan))


JUMP = """
    local time, store = require('time'), require('store')
    local kept = store.get('app:kv')
    assert(kept:set('short', 1, 60))
    local before = time.now()
    time.sleep('30s')
    local passed = time.now():sub(before):seconds()
    local still = kept:has('short')
    time.sleep('31s')
    return {passed, still, kept:has('short')}
"""
STORE = "[{name: kv, kind: store.memory, lifecycle: {auto_start: true}}]"


async def _passed(lua: Any) -> float:
    passed, still, after = await lua(JUMP, modules=["time", "store"], entries=STORE)
    assert (still, after) == (True, False)  # a jump neither loses an item nor keeps it for ever
    return float(passed)


@pytest.mark.parametrize("environment", [()], indirect=True, ids=["none"])
async def test_time_without_faults(lua: Any, environment: Environment) -> None:
    assert await _passed(lua) == pytest.approx(30)


@pytest.mark.parametrize("environment", [("clock_skew",)], indirect=True, ids=["skew"])
async def test_skewed_clock_measures_wrong(lua: Any, environment: Environment) -> None:
    assert abs(await _passed(lua) - 30) == pytest.approx(1.5)


@pytest.mark.parametrize("environment", [("clock_forward",), ("clock_back",)], indirect=True, ids=["forward", "back"])
async def test_jumping_clock(lua: Any, environment: Environment) -> None:
    plain_ns = seeded_environment(7).clock.wall_ns()
    off_s = float(await lua("return require('time').now():unix()", modules=["time"])) - plain_ns / 1e9
    (strike,) = environment.faults.struck  # type: ignore[attr-defined]
    expected_s = strike.draw * 86_400 if strike.kind == "clock_forward" else -strike.draw * 3600
    assert off_s == pytest.approx(expected_s, abs=2)


@pytest.mark.parametrize("environment", [("clock_forward",), ("clock_back",)], indirect=True, ids=["forward", "back"])
async def test_items_of_a_store_live_as_long_as_they_should(lua: Any, environment: Environment) -> None:
    await _passed(lua)


TIMERS = """
    local time = require('time')
    local began = time.now()
    local function passed() return time.now():sub(began):seconds() end
    time.sleep('1s')
    local slept = passed()
    time.after('1s'):receive()
    local after = passed()
    local timer = time.timer('1s')
    timer:channel():receive()
    local fired = passed()
    local ticker, ticks = time.ticker('2s'), {}
    for i = 1, 4 do ticker:channel():receive() ticks[i] = passed() - fired end
    ticker:stop()
    return {slept, after - slept, fired - after, ticks}
"""


@pytest.mark.parametrize("environment", [("timer_jitter",)], indirect=True, ids=["jitter"])
async def test_timers_fire_late_by_up_to_a_second(lua: Any, environment: Environment) -> None:
    *waits, ticks = await lua(TIMERS, modules=["time"])
    assert all(1 < wait <= 2 for wait in waits)
    late = [tick - 2 * number for number, tick in enumerate(ticks, 1)]
    assert all(0 < item <= 1.01 for item in late)  # late, but a late tick does not put off the next ones
    assert len({round(item, 6) for item in [*waits, *late]}) == 7
