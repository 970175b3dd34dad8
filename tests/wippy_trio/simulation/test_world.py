"""Lives of an app from a seed: what is found, what is the same, what invariants and faults do."""

from __future__ import annotations

import pytest

from determinism.faults import FAULTS
from determinism.simulate import Bounds
from tests.conftest import entries_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

COUNTER = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- name: inc
  kind: process.lua
  method: main
  modules: [process, store]
  source: |
    return { main = function(parent)
      local s = require("store").get("app:kv")
      s:set("x", (s:get("x") or 0) + 1)
      process.send(parent, "done", 1)
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 1m}
  method: main
  modules: [process, store]
  source: |
    return { main = function()
      local inbox, s = process.inbox(), require("store").get("app:kv")
      s:set("x", 0)
      for _ = 1, 3 do process.spawn("app:inc", "app:host", process.pid()) end
      for _ = 1, 3 do inbox:receive() end
      if s:get("x") ~= 3 then error("lost update: " .. s:get("x")) end
    end }
"""
INVARIANT = """
- name: small
  kind: function.lua
  meta: {type: invariant, every: %s}
  method: main
  modules: [store]
  source: |
    return { main = function() return (require("store").get("app:kv"):get("x") or 0) <= %d end }
"""


def scenario(body: str, more: str = "", meta: str = "type: simulation") -> SimulatedApp:
    lines = "\n".join("      " + line for line in body.strip().splitlines())
    text = f"""
- {{name: host, kind: process.host, lifecycle: {{auto_start: true}}}}
- name: scenario
  kind: function.lua
  meta: {{{meta}}}
  method: main
  modules: [process, time, channel, funcs]
  source: |
    return {{ main = function()
{lines}
    end }}
"""
    return simulated_app(entries_of(text + more))


def verdict(life: Life) -> tuple[str, str]:
    return ("", life.inconclusive) if life.failure is None else (life.failure.kind, life.failure.message)


def test_orders_are_searched() -> None:
    app = simulated_app(entries_of(COUNTER))
    found = {verdict(live(app, LifeSpec("app:scenario", seed, "swarm")))[1] for seed in range(12)}
    assert found >= {"", "app:scenario:6: lost update: 1", "app:scenario:6: lost update: 2"}


@pytest.mark.parametrize("strategy", ["swarm", "random", "pct", "fifo", "bursts", "starve"])
def test_one_seed_is_one_life(strategy: str) -> None:
    spec = LifeSpec("app:scenario", 5, strategy, frozenset(FAULTS))
    lives = [live(simulated_app(entries_of(COUNTER)), spec) for _ in range(2)]
    assert lives[0].trace_hash == lives[1].trace_hash
    assert (lives[0].steps, lives[0].strikes) == (lives[1].steps, lives[1].strikes)


def test_other_seeds_are_other_lives() -> None:
    app = simulated_app(entries_of(COUNTER))
    assert len({live(app, LifeSpec("app:scenario", seed, "random")).trace_hash for seed in range(8)}) > 4


@pytest.mark.parametrize("every", ["step", "1s"])
def test_looking_changes_nothing(every: str) -> None:
    alone = live(simulated_app(entries_of(COUNTER)), LifeSpec("app:scenario", 3, "random"))
    looked = live(simulated_app(entries_of(COUNTER + INVARIANT % (every, 3))), LifeSpec("app:scenario", 3, "random"))
    assert looked.trace_hash == alone.trace_hash


def test_an_invariant_is_looked_at_after_every_step() -> None:
    app = simulated_app(entries_of(COUNTER + INVARIANT % ("step", 0)))
    assert verdict(live(app, LifeSpec("app:scenario", 0, "fifo"))) == ("invariant", "app:small: returned false")


def test_what_a_scenario_may_end_with() -> None:
    assert verdict(live(scenario("return true"), LifeSpec("app:scenario", 0))) == ("", "")
    assert verdict(live(scenario("return false"), LifeSpec("app:scenario", 0)))[0] == "scenario"
    assert verdict(live(scenario('return nil, "no"'), LifeSpec("app:scenario", 0)))[0] == "scenario"
    kind, message = verdict(live(scenario('error("so")'), LifeSpec("app:scenario", 0)))
    assert (kind, message) == ("scenario", "app:scenario:2: so")


def test_a_scenario_has_so_much_virtual_time() -> None:
    app = scenario('require("time").sleep("2h")', meta="type: simulation, timeout: 1h")
    life = live(app, LifeSpec("app:scenario", 0))
    assert verdict(life) == ("timeout", "app:scenario took longer than its virtual time (meta.timeout)")
    assert life.virtual_s == pytest.approx(3600, abs=1)


def test_a_deadlock_is_seen_at_once() -> None:
    app = scenario('require("channel").new(0):receive()', meta="type: simulation, timeout: 240h")
    life = live(app, LifeSpec("app:scenario", 0))
    assert verdict(life)[0] == "deadlock"
    assert life.virtual_s < 1


def test_a_life_without_an_end_is_inconclusive() -> None:
    app = scenario("while true do process.send(process.pid(), 'again') process.inbox():receive() end")
    life = live(app, LifeSpec("app:scenario", 0, bounds=Bounds(steps=2_000)))
    assert verdict(life) == ("", "steps")


def test_an_app_without_scenarios_is_watched() -> None:
    app = simulated_app(entries_of("- {name: host, kind: process.host, lifecycle: {auto_start: true}}"))
    life = live(app, LifeSpec("(boot)", 0))
    assert verdict(life) == ("", "")
    assert life.virtual_s >= 60


def test_a_schedule_in_words_gives_the_life_again() -> None:
    app = simulated_app(entries_of(COUNTER))
    found = next(
        life
        for life in (live(app, LifeSpec("app:scenario", seed, "random", keep=True)) for seed in range(40))
        if life.failure is not None
    )
    again = live(app, LifeSpec("app:scenario", found.spec.seed, strikes=(), schedule=dict(enumerate(found.names))))
    assert again.trace_hash == found.trace_hash


def test_faults_strike_the_app_and_never_the_scenario() -> None:
    app = simulated_app(entries_of(COUNTER))
    struck = set()
    for seed in range(40):
        life = live(app, LifeSpec("app:scenario", seed, "fifo", frozenset({"actor_crash", "actor_hang"})))
        struck |= {(strike.kind, strike.where) for strike in life.strikes}
    assert struck == {("actor_crash", "app:inc"), ("actor_hang", "app:inc")}


CHAIN = """
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  modules: [time]
  source: |
    return function()
      local time, first = require("time"), nil
      coroutine.spawn(function()
        for _ = 1, 10 do time.sleep("100ms") end
        first = first or "chain"
      end)
      time.sleep("1s")
      first = first or "leap"
      time.sleep("10ms")
      error(first)
    end
"""


def test_ten_sleeps_are_as_long_as_one_of_ten_times_the_length() -> None:
    app = simulated_app(entries_of(CHAIN))
    lives = [live(app, LifeSpec("app:scenario", seed, "random")) for seed in range(16)]
    assert {str(life.failure.message)[-5:].strip() for life in lives if life.failure} == {"chain", "leap"}
