"""A process recorded at work does the same when it is run again alone, and the first difference is told."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from determinism.journal import Recorded
from determinism.seams import Environment
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.simulation.actor_replay import ReplayedActor, read_journal, replay_actor

Work = Callable[[App], Any]


def entry(name: str, kind: str, **data: Any) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


def process(source: str, *modules: str, name: str = "p") -> Entry:
    return entry(name, "process.lua", source=textwrap.dedent(source), method="main", modules=list(modules))


def journals(folder: Path) -> list[Recorded]:
    return [read_journal(path.read_bytes(), str(path)) for path in sorted(folder.glob("**/*.journal"))]


@pytest.fixture
def recorded(environment: Environment, tmp_path: Path) -> Callable[..., Any]:
    """`await recorded(work, *entries)` runs `work(app)` with the host `app:host`; returns the journals."""

    async def run(work: Work, *entries: Entry, **record: Any) -> list[Recorded]:
        options = {"dir": "records", "ends": "all", **record}
        host = entry("host", "process.host", host={"workers": 1}, lifecycle={"auto_start": True}, record=options)
        config = Config(project_dir=str(tmp_path))
        async with open_entries([host, *entries], config=config, environment=environment) as app:
            await work(app)
            await trio.sleep(1)
        return journals(tmp_path / "records")

    return run


def same(journal: Recorded) -> ReplayedActor:
    replayed = replay_actor(journal)
    assert (replayed.difference, replayed.unable, replayed.note) == (None, "", "")
    return replayed


CRASHER = """
    local time = require("time")
    return function(limit)
      local inbox, seen = process.inbox(), {}
      local started = time.now():unix()
      while true do
        local m = inbox:receive()
        seen[#seen + 1] = m:payload():data() + math.random(10)
        time.sleep("10ms")
        if #seen >= limit and time.now():unix() >= started then
          local none = seen[100].field
        end
      end
    end
"""


async def test_a_crash_in_production_is_replayed_alone(recorded: Any) -> None:
    async def work(app: App) -> None:
        pid = await app.spawn("app:p", "app:host", 3)
        for number in range(3):
            app.send(pid, "work", number)
            await trio.sleep(0.5)

    [journal] = await recorded(work, process(CRASHER, "time"), ends="failed")
    replayed = same(journal)
    assert replayed.ended is not None
    ok, error = replayed.ended
    assert not ok
    assert "field" in str(error)
    assert replayed.steps >= 4
