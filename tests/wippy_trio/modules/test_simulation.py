"""simulation: buggify and active."""

from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from tests.conftest import RunLua, entries_of
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import LifeSpec, live

APP = """
- name: counts
  kind: function.lua
  method: main
  modules: [simulation]
  source: |
    return { main = function()
      local simulation = require("simulation")
      if not simulation.active() then error("not active") end
      local n = 0
      for _ = 1, 12 do if simulation.buggify("rare") then n = n + 1 end end
      return n
    end }
- name: scenario
  kind: function.lua
  meta: {type: simulation}
  method: main
  modules: [simulation, funcs]
  source: |
    return { main = function()
      local simulation = require("simulation")
      for _ = 1, 200 do if simulation.buggify("mine") then error("a scenario is never struck") end end
      error("counted " .. require("funcs").call("app:counts"))
    end }
"""


async def test_a_live_node_never_buggifies(lua: RunLua) -> None:
    source = """
      local simulation = require("simulation")
      for _ = 1, 1000 do if simulation.buggify("rare") then return "struck" end end
      return { simulation.active() }
    """
    assert await lua(source, modules=["simulation"]) == [False]


async def test_a_label_is_needed(lua: RunLua) -> None:
    with pytest.raises(LuaError, match="bad argument #1 to buggify"):
        await lua('require("simulation").buggify("")', modules=["simulation"])


def test_in_a_simulation_the_seed_says() -> None:
    app = simulated_app(entries_of(APP))
    counts = []
    for seed in (0, 1, 2, 3, 4, 5, 0):
        life = live(app, LifeSpec("app:scenario", seed, "fifo", frozenset({"buggify"})))
        assert life.failure is not None
        counts.append(int(life.failure.message.rpartition(" ")[2]))
    assert counts[0] == counts[-1]
    assert len(set(counts)) > 2
    assert min(counts) == 0 < max(counts) <= 20
