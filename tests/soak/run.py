"""`make soak`: random lives in real time, with kills, function calls, timers, upgrades, crashing services and failing
VMs, and then random programs under the virtual clock. What a run leaves behind must not grow.

Every `--every` seconds all processes are ended, garbage is collected, and what is left is measured: that is a row. The
rows after the first few must stay within a band around the least of them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import logging
import os
import sys
import time
from pathlib import Path
from random import Random

import attrs
import trio
import trio._core._run as trio_run

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from determinism.system import system_environment  # noqa: E402 - after the path is set
from tests.wippy_trio.actors import campaigns, puppets  # noqa: E402
from tests.wippy_trio.actors.puppets import HOSTS, SPAWNS, Driver  # noqa: E402
from wippy_trio.actors.host import terminated  # noqa: E402
from wippy_trio.core.ids import EntryId  # noqa: E402
from wippy_trio.registry.changes import Change  # noqa: E402

POPULATION = 300
ORDERS = 40  # of one go
WARM = 3  # rows that do not count: caches fill
SETTINGS = {"lua": {"memory_limit": "64M"}}
#: Tables of a VM keep the size of their busiest moment, the allocator some of what hogs had.
SLACK = {"lua_bytes": 512 * 1024, "resident_mb": 16}
#: Services and supervisors that crash all the time, and a hog that fills its VM.
MORE = """
- name: crasher
  kind: process.lua
  modules: [time]
  source: |
    return function(after)
      require("time").sleep(after)
      error("crash")
    end
- name: service
  kind: process.service
  process: crasher
  host: one
  input: ["120ms"]
  lifecycle: {auto_start: true, restart: {initial_delay: 10ms, max_delay: 50ms}}
- name: pool
  kind: process.supervisor
  host: two
  strategy: one_for_all
  max_restarts: 1000000
  children:
    - {id: a, process: crasher, args: ["90ms"]}
    - {id: b, process: crasher, args: ["210ms"], restart: transient}
  lifecycle: {auto_start: true}
- name: hog
  kind: process.lua
  source: |
    return function()
      local held = {}
      while true do held[#held + 1] = string.rep("x", 1000000) .. #held end
    end
"""


@attrs.frozen(slots=True)
class Row:
    """What there is while nobody lives."""

    lua_bytes: int
    python_objects: int
    tasks: int
    handles: int
    resident_mb: float

    def text(self) -> str:
        """One line."""
        return (
            f"Lua {self.lua_bytes / 1024:8.0f} KiB  objects {self.python_objects:8d}  tasks {self.tasks:4d}"
            f"  handles {self.handles:3d}  resident {self.resident_mb:7.1f} MB"
        )


def measure(driver: Driver) -> Row:
    """Collect all garbage and look at what is left."""
    for _ in range(3):
        gc.collect()
    engine = driver.app.runtime.engine
    lua = sum(puppets.lua_bytes(shard) for shard in engine._shards)
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    handles = len(os.listdir("/proc/self/fd"))
    return Row(lua, len(gc.get_objects()), trio.lowlevel.current_statistics().tasks_living, handles, resident)


def judge(rows: list[Row]) -> list[str]:
    """What has grown: the second half of the rows against the first, after the warm ones."""
    rows = rows[WARM:]
    if len(rows) < 4:
        return ["too few rows to judge: run longer"]
    half = len(rows) // 2
    found = []
    bands = {"lua_bytes": 1.03, "python_objects": 1.02, "tasks": 1.0, "handles": 1.0, "resident_mb": 1.05}
    for name, band in bands.items():
        early, late = (min(getattr(row, name) for row in part) for part in (rows[:half], rows[half:]))
        if late > early * band + SLACK.get(name, 0):
            found.append(f"{name} grew from {early} to {late}")
    return found


class Load:
    """Tells puppets at random what to do.

    Args:
        driver: stands among them.
        random: decides.
    """

    def __init__(self, driver: Driver, random: Random) -> None:
        self.driver = driver
        self.random = random
        self.orders = 0
        self._names = itertools.count(1)
        self._version = itertools.count(2)

    async def go(self, seconds: float) -> None:
        """Give orders for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            alive = [pid for host in puppets.hosts_of(self.driver.app) for pid in host.processes]
            for _ in range(ORDERS):
                await self._order(alive)
            self.driver.take()
            self.driver.pids.clear()
            self.driver.names.clear()
            await trio.sleep(0.002)

    async def _order(self, alive: list[str]) -> None:
        random, driver = self.random, self.driver
        self.orders += 1
        host, name = random.choice(HOSTS), f"p{next(self._names)}"
        if len(alive) < POPULATION:
            alive.append(await driver.app.spawn("app:puppet", host, name, random.random() < 0.2))
            return
        pid, target = random.choice(alive), random.choice(alive)
        match random.choice(campaigns.KINDS):
            case "start":
                driver.tell(pid, "start", random.choice(SPAWNS), name, False, host)
            case "exec":
                driver.tell(pid, "exec", name, False, host)
            case "relate":
                driver.tell(pid, "relate", random.choice(campaigns.VERBS), target)
            case "name":
                driver.tell(pid, "name", random.choice(campaigns.NAMES), target)
            case "unname":
                driver.tell(pid, "unname", random.choice(campaigns.NAMES))
            case "trap":
                driver.tell(pid, "trap", random.random() < 0.5)
            case "end":
                driver.tell(pid, "end", random.choice(list(campaigns.ENDS)))
            case "send":
                driver.tell(pid, "send", target)
            case "kill":
                process = driver.app.runtime.processes.find(pid)
                if process is not None:
                    process.terminate_now(terminated())
            case what:
                driver.tell(pid, what, f"{random.randrange(1, 2000)}ms")

    async def disturb(self) -> None:
        """What happens once between two rows: new code, a full VM, a VM that fails."""
        driver = self.driver
        old = driver.app.registry.get(EntryId("app", "quick"))
        assert old is not None
        source = f"return function(...) return {{...}}, {next(self._version)} end"
        await driver.app.registry.apply([Change.update(attrs.evolve(old, data={**old.data, "source": source}))])
        await driver.app.spawn("app:hog", self.random.choice(HOSTS))
        await trio.sleep(0.5)
        puppets.collapse(self.random.choice(puppets.shards_of(driver.app)))


async def soak(seconds: float, every: float, seed: int) -> list[str]:
    """Run the load; returns what grew."""
    rows: list[Row] = []
    started = time.monotonic()
    async with puppets.stage(system_environment(), MORE, SETTINGS) as driver:
        load = Load(driver, Random(seed))
        while (passed := time.monotonic() - started) < seconds:
            await load.go(min(every, seconds - passed) / 2)
            await load.disturb()
            await load.go(min(every, seconds - passed) / 2)
            await quiet(driver)
            rows.append(measure(driver))
            print(f"{time.monotonic() - started:7.0f} s  {load.orders:9d} orders  {rows[-1].text()}", flush=True)
            left = puppets.leftovers(driver.app, puppets.shards_of(driver.app), puppets.hosts_of(driver.app))
            if left:
                return [f"left over: {left}"]
            for name in ("app:service", "app:pool"):
                await driver.app.supervisor.start(EntryId.parse(name))
    return judge(rows)


async def quiet(driver: Driver) -> None:
    """End everything that runs, and let the ends come to rest."""
    for name in ("app:service", "app:pool"):
        await driver.app.supervisor.stop(EntryId.parse(name))
    for _ in range(3):
        campaigns.end_all(driver)
        await trio.sleep(0.05)
    driver.take()
    driver.pids.clear()
    driver.names.clear()


def programs(seconds: float, seed: int) -> str:
    """Random programs under the virtual clock for so long; returns the seed of one that fails."""
    until = time.monotonic() + seconds
    for count, number in enumerate(itertools.count(seed)):
        if time.monotonic() > until:
            print(f"{count} programs kept the rules", flush=True)
            return ""
        trio_run._r.seed(number)
        program = campaigns.random_program(number, 20 + number % 180)
        try:
            campaigns.run(lambda program=program: campaigns.obeys_the_model(program, stop=False))
            campaigns.run(lambda program=program: campaigns.keeps_the_rules(program, stop=True))
        except BaseException:
            print(f"seed {number}, {len(program)} orders:", flush=True)
            raise
    return ""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800, help="how long in all")
    parser.add_argument("--every", type=float, default=10, help="seconds between two rows")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable()  # crashes are what this is about
    share = given.seconds / 6
    programs(share, given.seed)
    grown = trio.run(soak, given.seconds - share, given.every, given.seed)
    for line in grown:
        print("FAILED:", line)
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
