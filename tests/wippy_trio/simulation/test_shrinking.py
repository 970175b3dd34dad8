"""Shrinking: faults, switches, then the workload of a scenario."""

from __future__ import annotations

import attrs
import pytest

from determinism.faults import FAULTS
from determinism.system import SystemClock, SystemDisk
from tests.conftest import entries_of
from wippy_trio.core.errors import ConfigError
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.records import read_life, write_life
from wippy_trio.simulation.shrinking import shrink_life, workload_of
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

BUYERS = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- name: buyer
  kind: process.lua
  method: main
  modules: [process, store]
  source: |
    return { main = function(parent, rounds)
      local s = require("store").get("app:kv")
      for _ = 1, rounds do s:set("x", (s:get("x") or 0) + 1) end
      process.send(parent, "done", 1)
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation, timeout: 1m, workload: %s}
  method: main
  modules: [process, store]
  source: |
    return { main = function(work)
      local inbox, s = process.inbox(), require("store").get("app:kv")
      s:set("x", 0)
      for _ = 1, work.buyers do process.spawn("app:buyer", "app:host", process.pid(), work.rounds) end
      for _ = 1, work.buyers do inbox:receive() end
      if s:get("x") ~= work.buyers * work.rounds then error("lost update: " .. s:get("x")) end
    end }
"""


def buyers(workload: str = "{buyers: 4, rounds: 3}") -> SimulatedApp:
    return simulated_app(entries_of(BUYERS % workload))


def failing(app: SimulatedApp, strategy: str = "random") -> Life:
    return next(
        life for seed in range(50) if (life := live(app, LifeSpec("app:scenario", seed, strategy))).failure is not None
    )


def test_the_workload_is_the_argument_of_the_scenario() -> None:
    app = buyers()
    assert workload_of(app, LifeSpec("app:scenario", 0)) == {"buyers": 4, "rounds": 3}
    few = LifeSpec("app:scenario", 0, "fifo", workload={"buyers": 1, "rounds": 1})
    assert live(app, few).failure is None
    assert live(app, few).steps < live(app, LifeSpec("app:scenario", 0, "fifo")).steps


@pytest.mark.slow
def test_the_workload_is_shrunk_after_the_switches() -> None:
    app = buyers()
    life = failing(app)
    kept = shrink_life(app, life, SystemClock(), workload=False)
    least = shrink_life(app, life, SystemClock())
    assert kept is not None
    assert least is not None
    assert workload_of(app, kept.spec) == {"buyers": 4, "rounds": 3}
    assert workload_of(app, least.spec) == {"buyers": 2, "rounds": 1}
    assert least.failure is not None
    assert least.failure.same_as == life.failure.same_as  # type: ignore[union-attr]
    assert len(least.made) <= 2
    assert live(app, least.spec).trace_hash == least.trace_hash


def test_without_time_there_is_what_there_is() -> None:
    app = buyers("{buyers: 2, rounds: 1}")
    least = shrink_life(app, failing(app), SystemClock(), limit_s=0.0)
    assert least is None or least.failure is not None


def test_what_does_not_fail_again_is_not_shrunk() -> None:
    app = buyers("{buyers: 2, rounds: 1}")
    life = failing(app)
    life.spec = LifeSpec("app:scenario", 0, "fifo", workload={"buyers": 1, "rounds": 1})
    assert shrink_life(app, life, SystemClock()) is None


def test_a_record_that_is_not_shrunk_is_the_same_life(tmp_path) -> None:
    app = buyers()
    asked = {("actor_crash", "app:buyer"): 20, ("actor_hang", "app:buyer"): 3, ("timer_jitter", "x"): 1}
    spec = LifeSpec(
        "app:scenario", 0, "swarm", frozenset(FAULTS), length=77, asked=asked, workload={"buyers": 3, "rounds": 2}
    )
    for seed in range(8):
        life = live(app, attrs.evolve(spec, seed=seed))
        path = write_life(SystemDisk(), life, str(tmp_path))
        project, again, data = read_life(SystemDisk(), path)
        assert (project, data["trace_hash"]) == (str(tmp_path), life.trace_hash)
        assert live(app, again).trace_hash == life.trace_hash


@pytest.mark.parametrize("workload", ["3", "{buyers: 0}", "{buyers: many}", "{buyers: true}"])
def test_a_workload_is_numbers_by_name(workload: str) -> None:
    with pytest.raises(ConfigError, match=r"app:scenario: meta\.workload"):
        buyers(workload)
