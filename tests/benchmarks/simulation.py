"""Benchmarks of simulation: lives, events and virtual time, in processor time of one core."""

from __future__ import annotations

import time
from collections.abc import Callable

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import LifeSpec, SimulatedApp, live

SMALL = """
return { main = function(n, total, parent)
  process.registry.register("w" .. n)
  for i = 1, 6 do
    local to = process.registry.lookup("w" .. (n + i) % total)
    if to then process.send(to, "hi", { from = n, i = i }) end
    if i % 3 == 0 then require("time").sleep("10s") end
  end
  process.send(parent, "done", n)
end }
"""
CHATTER = """
return { main = function(n, total, parent)
  process.registry.register("w" .. n)
  for i = 1, 8 do
    local to = process.registry.lookup("w" .. math.random(1, total))
    if to then process.send(to, "hi", { from = n, i = i }) end
    if i % 3 == 0 then require("time").sleep(math.random(1, 50) .. "ms") end
  end
  process.send(parent, "done", n)
end }
"""
SCENARIO = """
return { main = function()
  local inbox = process.inbox()
  for i = 1, COUNT do process.spawn("app:worker", "app:host", i, COUNT, process.pid()) end
  for _ = 1, COUNT do inbox:receive() end
end }
"""


def _app(worker: str, count: int) -> SimulatedApp:
    modules = ["process", "time"]
    return simulated_app(
        [
            Entry(EntryId("app", "host"), "process.host", {}, {"lifecycle": {"auto_start": True}}),
            Entry(
                EntryId("app", "worker"), "process.lua", {}, {"source": worker, "method": "main", "modules": modules}
            ),
            Entry(
                EntryId("app", "scenario"),
                "function.lua",
                {"type": "simulation"},
                {"source": SCENARIO.replace("COUNT", str(count)), "method": "main", "modules": modules},
            ),
        ]
    )


def _lives(app: SimulatedApp, count: int) -> tuple[float, int, float]:
    """Seconds, events and virtual seconds of `count` lives."""
    began_s = time.process_time()
    events, virtual_s = 0, 0.0
    for seed in range(count):
        life = live(app, LifeSpec("app:scenario", seed, "random"))
        assert life.failure is None, life.failure
        events += life.events
        virtual_s += life.virtual_s
    return time.process_time() - began_s, events, virtual_s


def seeds_per_minute() -> float:
    """Lives of a world of 20 actors and about 600 steps, in a minute of one core."""
    app = _app(SMALL, 20)
    _lives(app, 3)
    return 60 * 30 / _lives(app, 30)[0]


def events_per_second() -> float:
    """Events at 1,000 actors."""
    app = _app(CHATTER, 1_000)
    seconds, events, _ = _lives(app, 2)
    return events / seconds


def virtual_seconds_per_second() -> float:
    """Virtual seconds of small worlds in a second."""
    app = _app(SMALL, 20)
    _lives(app, 3)
    seconds, _, virtual_s = _lives(app, 30)
    return virtual_s / seconds


BENCHMARKS: dict[str, Callable[[], float]] = {
    "sim_seeds_per_minute": seeds_per_minute,
    "sim_events_per_s": events_per_second,
    "sim_virtual_s_per_s": virtual_seconds_per_second,
}
