"""What an app sees of faults of messages, timers and the clock, in whole lives."""

import pytest

from determinism.faults import FAULTS
from determinism.seams import Strike
from tests.conftest import entries_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import Life, LifeSpec, live

QUEUE = """
- {name: driver, kind: queue.driver.memory, lifecycle: {auto_start: true}}
- {name: work, kind: queue.queue, driver: driver}
- {name: kept, kind: store.memory, lifecycle: {auto_start: true}}
- {name: consumer, kind: queue.consumer, queue: work, func: handle, lifecycle: {auto_start: true}}
- name: handle
  kind: function.lua
  method: main
  modules: [store]
  source: |
    return function(body)
      local kept = require('store').get('app:kept')
      kept:set('seen', (kept:get('seen') or '') .. body)
    end
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  method: main
  modules: [queue, registry, store, time]
  source: |
    local queue, store, time = require('queue'), require('store'), require('time')
    return function()
      -- BEGIN
      for _, letter in ipairs({'a', 'b', 'c'}) do assert(queue.publish('app:work', letter)) end
      time.sleep('WAIT')
      local seen = store.get('app:kept'):get('seen')
      assert(seen == 'SEEN', 'seen ' .. tostring(seen))
    end
"""


def _life(text: str, *strikes: Strike) -> Life:
    return live(simulated_app(entries_of(text)), LifeSpec("app:scenario", 1, "fifo", strikes=strikes))


@pytest.mark.parametrize(
    ("strike", "wait", "seen"),
    [
        (None, "100ms", "abc"),
        (Strike("message_drop", "app:work", 0, 0.5), "29s", "bc"),
        (Strike("message_drop", "app:work", 0, 0.5), "31s", "bca"),
        (Strike("message_delay", "app:work", 1, 1.0, 60.0), "59s", "ac"),
        (Strike("message_delay", "app:work", 1, 1.0, 60.0), "61s", "acb"),
        (Strike("message_duplicate", "app:work", 0, 0.1), "1s", "aabc"),
        (Strike("message_duplicate", "app:work", 0, 1.0), "11s", "abca"),
        (Strike("message_reorder", "app:work", 0, 0.5), "1s", "bac"),
    ],
    ids=lambda value: f"{value.kind}-{value.draw:.1f}" if isinstance(value, Strike) else None,
)
def test_deliveries(strike: Strike | None, wait: str, seen: str) -> None:
    text = QUEUE.replace("WAIT", wait).replace("SEEN", seen)
    found = _life(text, *([] if strike is None else [strike]))
    assert found.failure is None
    assert [one.kind for one in found.strikes] == ([] if strike is None else [strike.kind])


TIME = """
- name: stamp
  kind: function.lua
  method: main
  modules: [time]
  source: |
    local time = require('time')
    return function()
      local from = time.now()
      time.sleep('10s')
      return time.now():sub(from):seconds()
    end
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  method: main
  modules: [funcs, time]
  source: |
    return function()
      local mine = require('time').now()
      local passed = require('funcs').call('app:stamp')
      assert(CHECK, 'passed ' .. passed)
      local right = require('time').now():sub(mine):seconds()
      assert(right >= 10 and right < 12, 'the scenario is shown the right time, not ' .. right)
    end
"""


@pytest.mark.parametrize(
    ("strike", "check"),
    [
        (None, "math.abs(passed - 10) < 0.001"),
        (Strike("timer_jitter", "app:stamp", 0, 1.0, 1.0), "math.abs(passed - 11) < 0.001"),
        (Strike("clock_forward", "wall", 1, 0.5), "passed > 43200 and passed < 43220"),
        (Strike("clock_back", "wall", 1, 0.5), "passed < -1780 and passed > -1800"),
        (Strike("clock_skew", "wall", 0, 1.0), "passed > 10.4 and passed < 10.6"),
        (Strike("clock_skew", "wall", 0, 0.0), "passed < 9.6 and passed > 9.4"),
    ],
    ids=lambda value: f"{value.kind}-{value.draw:.1f}" if isinstance(value, Strike) else None,
)
def test_clocks_and_timers(strike: Strike | None, check: str) -> None:
    found = _life(TIME.replace("CHECK", check), *([] if strike is None else [strike]))
    assert found.failure is None
    assert [one.kind for one in found.strikes] == ([] if strike is None else [strike.kind])


@pytest.mark.slow
def test_every_kind_strikes_some_seed_and_two_lives_are_equal() -> None:
    apps = {
        "message": simulated_app(entries_of(QUEUE.replace("WAIT", "100s").replace("'SEEN'", "seen"))),
        "clock": simulated_app(entries_of(TIME.replace("CHECK", "true"))),
    }
    for kind, fault in FAULTS.items():
        if fault.area in apps:
            app = apps[fault.area]
            specs = [LifeSpec("app:scenario", seed, kinds=frozenset({kind})) for seed in range(200)]
            struck = next((spec for spec in specs if live(app, spec).strikes), None)
            assert struck is not None, kind
            assert live(app, struck).trace_hash == live(app, struck).trace_hash


LATE = """
      local registry = require('registry')
      local changes = registry.snapshot():changes()
      changes:create({id = 'app:consumer', kind = 'queue.consumer',
        data = {queue = 'work', func = 'handle', lifecycle = {auto_start = true}}})
      assert(changes:apply())
"""


def test_what_a_scenario_creates_belongs_to_the_app_and_is_struck() -> None:
    text = "\n".join(line for line in QUEUE.splitlines() if "name: consumer" not in line)
    text = text.replace("      -- BEGIN\n", LATE).replace("WAIT", "31s").replace("SEEN", "bca")
    found = _life(text, Strike("message_drop", "app:work", 0, 0.5))
    assert found.failure is None
    assert [one.kind for one in found.strikes] == ["message_drop"]


def test_no_message_is_lost_where_all_workers_give_theirs_back_to_a_full_queue() -> None:
    """Found by simulation: nobody made room while all workers waited for room, and after 5 s the messages were gone."""
    text = QUEUE.replace("driver: driver}", "driver: driver, driver_options: {memory: {max_length: 2}}}")
    text = text.replace("func: handle,", "func: handle, concurrency: 2, prefetch: 1,")
    done = "if not kept:has(body) then kept:set(body, 1) return false end kept:set('done ' .. body, 1)"
    text = text.replace("kept:set('seen', (kept:get('seen') or '') .. body)", done)
    text = text.replace("{'a', 'b', 'c'}", "{1, 2, 3, 4, 5, 6, 7, 8}").replace("WAIT", "1s")
    check = "for n = 1, 8 do assert(store.get('app:kept'):has('done ' .. n), 'lost ' .. n) end"
    found = _life(text.replace("assert(seen == 'SEEN', 'seen ' .. tostring(seen))", check))
    assert found.failure is None
