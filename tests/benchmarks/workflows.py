"""Benchmarks of embedded workflows: durable events, replayed events, workflows of three activities; and the plain SDK.

The history is a SQLite file (WAL, synchronous=FULL) in a temporary folder: every event counted is on the disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable

import trio

from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.engine import workflows_of
from wippy_trio.workflows.history import RunQuery
from wippy_trio.workflows.replay import replay

HOST = "wippy:workflows"


def _entry(name: str, kind: str, source: str, *modules: str) -> Entry:
    data = {"source": source, "method": "main", "modules": list(modules)}
    return Entry(EntryId("app", name), kind, {}, data)


ENTRIES = [
    _entry("step", "function.lua", "return { main = function(x) return x end }"),
    _entry(
        "order",
        "workflow.lua",
        """return { main = function(n)
          local funcs = require("funcs")
          local a = funcs.call("app:step", n)
          local b = funcs.call("app:step", a)
          return funcs.call("app:step", b)
        end }""",
        "funcs",
    ),
    _entry(
        "long",
        "workflow.lua",
        """return { main = function(n)
          local funcs = require("funcs")
          for i = 1, n do funcs.call("app:step", i) end
          return n
        end }""",
        "funcs",
    ),
    _entry(
        "many",
        "function.lua",
        """return { main = function(entry, count, n)
          local done = channel.new(count)
          for i = 1, count do
            coroutine.spawn(function() done:send(process.exec(entry, "wippy:workflows", n or i) or 0) end)
          end
          for _ = 1, count do done:receive() end
          return count
        end }""",
        "process",
        "channel",
    ),
]


def _run(main: Callable[[App], Awaitable[float]]) -> float:
    async def inside() -> float:
        with tempfile.TemporaryDirectory() as folder:
            config = Config(project_dir=folder, config_dir=folder)
            async with open_entries(ENTRIES, config=config) as app:
                return await main(app)

    return trio.run(inside)


def orders_per_second(count: int = 2_000, at_once: int = 200) -> float:
    """Workflows of three activities, `at_once` of them open at a time."""

    async def main(app: App) -> float:
        await app.call("app:many", "app:order", 20)
        began_s = time.perf_counter()
        for _ in range(count // at_once):
            await app.call("app:many", "app:order", at_once)
        return count / (time.perf_counter() - began_s)

    return _run(main)


def durable_events_per_second(count: int = 200, steps: int = 40) -> float:
    """Events on the disk: workflows of many activities, side by side."""

    async def main(app: App) -> float:
        engine = await workflows_of(app.runtime).opened()
        began_s = time.perf_counter()
        await app.call("app:many", "app:long", count, steps)
        elapsed_s = time.perf_counter() - began_s
        runs = await engine.history.find(RunQuery(limit=count))
        return sum(run.length for run in runs) / elapsed_s

    return _run(main)


def replayed_events_per_second(steps: int = 3_000) -> float:
    """Events of a long history, replayed."""

    async def main(app: App) -> float:
        engine = await workflows_of(app.runtime).opened()
        await app.call("app:many", "app:long", 1, steps)
        (run,) = await engine.history.find(RunQuery(limit=1))
        records = await engine.history.load(run.run_id)
        best = 0.0
        for _ in range(3):
            began_s = time.perf_counter()
            machine = await replay(engine.driver.new_machine, records)
            best = max(best, len(records) / (time.perf_counter() - began_s))
            machine.close()
        return best

    return _run(main)


def ours_on_temporal(address: str, count: int = 300, at_once: int = 50) -> float:
    """The same workflows of three activities on a Temporal server, through our worker."""
    worker = {"temporal": {"workflow": {"worker": "app:worker"}}}
    activity = {"temporal": {"activity": {"worker": "app:worker"}}}
    entries = [
        Entry(
            EntryId("app", "client"),
            "temporal.client",
            {},
            {"address": address, "namespace": "default", "lifecycle": {"auto_start": True}},
        ),
        Entry(
            EntryId("app", "worker"),
            "temporal.worker",
            {},
            {"client": "app:client", "task_queue": "bench-lua", "lifecycle": {"auto_start": True}},
        ),
    ]
    metas = {"step": activity, "order": worker}
    for entry in ENTRIES:
        entries.append(Entry(entry.id, entry.kind, metas.get(entry.id.name, {}), dict(entry.data)))
    entries[-1].data["source"] = entries[-1].data["source"].replace("wippy:workflows", "app:worker")  # type: ignore[index]

    async def main() -> float:
        async with open_entries(entries) as app:
            await app.call("app:many", "app:order", 10)
            began_s = time.perf_counter()
            for _ in range(count // at_once):
                await app.call("app:many", "app:order", at_once)
            return count / (time.perf_counter() - began_s)

    return trio.run(main)


BENCHMARKS: dict[str, Callable[[], float]] = {
    "workflow_events_per_s": durable_events_per_second,
    "workflow_replayed_per_s": replayed_events_per_second,
    "workflow_orders_per_s": orders_per_second,
}
