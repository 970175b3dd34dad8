"""The faults of workflows: each strikes, a sound workflow survives all, and each exposes what only it can."""

from __future__ import annotations

import pytest

from determinism.faults import FAULTS
from determinism.seams import Strike
from tests.conftest import entries_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

KINDS = ("activity_timeout", "worker_kill", "cache_eviction")
APP = """
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- name: charge
  kind: function.lua
  method: main
  modules: [store]
  source: |
    return { main = function(order)
      local s = require("store").get("app:kv")
      CHARGE
      return order.price
    end }
- name: order
  kind: workflow.lua
  method: main
  modules: [funcs, time, process, uuid]
  source: |
    return { main = function(price)
      local funcs, time = require("funcs"), require("time")
      local key = require("uuid").v4()
      local paid, err = funcs.call("app:charge", { key = key, price = price })
      if err then return nil, err end
      time.sleep("1h")
      local again, err = funcs.call("app:charge", { key = key .. "-2", price = price })
      if err then return nil, err end
      return paid + again
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 48h}
  method: main
  modules: [process, store]
  source: |
    return { main = function()
      local v, err = process.exec("app:order", "wippy:workflows", 5)
      if v ~= 10 then error("got " .. tostring(v) .. " " .. tostring(err)) end
      local n = require("store").get("app:kv"):get("charged") or 0
      if n ~= 10 then error("charged " .. tostring(n)) end
    end }
"""
ONCE = (
    "if s:get(order.key) then return order.price end "
    's:set("charged", (s:get("charged") or 0) + order.price) s:set(order.key, true)'
)
TWICE = 's:set("charged", (s:get("charged") or 0) + order.price)'


def app(charge: str = ONCE) -> SimulatedApp:
    return simulated_app(entries_of(APP.replace("CHARGE", charge)))


def lives(one: SimulatedApp, kinds: frozenset[str], count: int = 12) -> list[Life]:
    return [live(one, LifeSpec("app:scenario", seed, "random", kinds)) for seed in range(count)]


def struck(kind: str, number: int, draw: float = 0.5) -> LifeSpec:
    return LifeSpec("app:scenario", 0, "random", strikes=(Strike(kind, "app:order", number, draw),))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_strikes_and_a_sound_workflow_survives(kind: str) -> None:
    found = lives(app(), frozenset({kind}), 20)
    assert [life.failure for life in found if life.failure is not None] == []
    assert kind in {strike.kind for life in found for strike in life.strikes}


@pytest.mark.slow
def test_an_activity_that_charges_twice_is_found() -> None:
    found = [life for life in lives(app(charge=TWICE), frozenset({"activity_timeout"}), 30) if life.failure is not None]
    assert found
    assert {life.failure.message.partition(": ")[2] for life in found if life.failure} <= {"charged 15", "charged 20"}
    assert all(strike.kind == "activity_timeout" for life in found for strike in life.strikes)


@pytest.mark.slow
def test_an_activity_that_the_dead_worker_had_begun_charges_twice() -> None:
    for number, draw, charged in ((0, 0.9, 15), (0, 0.1, 10), (2, 0.9, 15), (2, 0.1, 10)):
        life = live(app(charge=TWICE), struck("worker_kill", number, draw))
        assert len(life.strikes) == 1
        wrong = "" if life.failure is None else life.failure.message.partition(": ")[2]
        assert wrong == ("" if charged == 10 else f"charged {charged}")


DEPLOY = """
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 2h}
  method: main
  modules: [process, time, registry]
  source: |
    return { main = function()
      local time, registry = require("time"), require("registry")
      local pid = assert(process.spawn_monitored("app:order", "wippy:workflows", 5))
      time.sleep("10m")
      local snapshot = registry.snapshot()
      local entry = snapshot:get("app:order")
      entry.data.source = entry.data.source:gsub('local paid, err = ', 'NEW local paid, err = ')
      local changes = snapshot:changes()
      changes:update(entry)
      assert(changes:apply())
      local event = process.events():receive()
      if event.result.value ~= 10 then error("got " .. tostring(event.result.error or event.result.value)) end
    end }
"""
WITHOUT_VERSION = 'time.sleep("1s")'
WITH_VERSION = 'if require("workflow").version("wait", -1, 1) == 1 then time.sleep("1s") end'


def deploying(new: str) -> SimulatedApp:
    text = APP[: APP.index("- name: scenario")] + DEPLOY
    text = text.replace("CHARGE", ONCE)
    return simulated_app(entries_of(text.replace("NEW", new).replace("process, uuid]", "process, uuid, workflow]")))


@pytest.mark.slow
def test_a_change_of_code_that_breaks_open_runs_shows_when_they_leave_the_cache() -> None:
    broken, fixed = deploying(WITHOUT_VERSION), deploying(WITH_VERSION)
    assert live(broken, LifeSpec("app:scenario", 0, "random")).failure is None
    evicted = live(broken, struck("cache_eviction", 1))
    assert evicted.failure is not None
    assert evicted.failure.kind == "timeout"  # it waits for code that fits its record
    life = live(fixed, struck("cache_eviction", 1))
    assert (life.failure, len(life.strikes)) == (None, 1)


@pytest.mark.slow
def test_all_faults_together_lose_nothing() -> None:
    spared = frozenset(FAULTS) - {"host_kill", "host_restart", "actor_crash", "actor_hang", "supervisor_storm"}
    assert [life.failure for life in lives(app(), spared, 20) if life.failure is not None] == []


@pytest.mark.slow
def test_a_seed_is_one_life_with_workflows_too() -> None:
    one, other = (lives(app(), frozenset(KINDS), 3) for _ in range(2))
    assert [life.trace_hash for life in one] == [life.trace_hash for life in other]
