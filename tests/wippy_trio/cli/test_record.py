"""A process that fails in a real run, and `replay` of its journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.wippy_trio.cli.conftest import MakeApp, Program

APP = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}, record: {max_events: 500}}
- name: start
  kind: process.lua
  method: main
  source: |
    return { main = function()
      local events = process.events()
      local pid = process.spawn_monitored("app:worker", "app:host")
      for _, price in ipairs({ 3, 4, "many" }) do process.send(pid, "price", price) end
      events:receive()
      return 0
    end }
- name: worker
  kind: process.lua
  method: main
  modules: [time]
  source: |
    return { main = function()
      local inbox, sum = process.inbox(), 0
      while true do
        local price = inbox:receive():payload():data()
        require("time").sleep("1ms")
        sum = sum + price
      end
    end }
"""


@pytest.fixture
def journal(make_app: MakeApp, program: Program) -> Path:
    """What the failed worker left."""
    folder = make_app(APP, terminal=True)
    assert program("run", "--exec", "app:start").code == 0
    [path] = (folder / ".wippy" / "records").iterdir()
    assert path.name.startswith("app.worker-")
    return path


def test_a_failure_is_replayed(program: Program, journal: Path) -> None:
    told = program("replay", str(journal))
    assert told.code == 0
    lines = told.out.splitlines()
    assert any("message  price from" in line and "'many'" in line for line in lines)
    [same] = [line for line in lines if line.startswith("same; it failed: ")]
    assert "attempt to add" in same
    assert any("app:worker:6" in line for line in lines)
    some = program("replay", str(journal), "--what", "message", "--json")
    data = json.loads(some.out)
    assert (data["same"], data["difference"], data["entry"]) == (True, None, "app:worker")
    assert [event["what"] for event in data["events"]] == ["message"] * 3


def test_another_end_is_told_and_other_files_are_refused(program: Program, journal: Path) -> None:
    from determinism.journal import decode_journal, encode_journal

    recorded = decode_journal(journal.read_bytes())
    units = [{**unit, "source": unit["source"].replace("1ms", "2ms")} for unit in recorded.header["units"]]
    journal.write_bytes(encode_journal({**recorded.header, "units": units}, recorded.events))
    told = program("replay", str(journal), "--what", "none")
    assert told.code == 1
    assert "first difference: event " in told.out
    assert "at app:worker:5" in told.out
    assert program("replay", str(journal), "--inspect", "all").code == 2
    journal.write_bytes(encode_journal({**recorded.header, "units": units}, recorded.events[5:], 5))
    assert program("replay", str(journal)).code == 2
    journal.write_bytes(journal.read_bytes()[:-1])
    broken = program("replay", str(journal))
    assert broken.code == 2
    assert "checksum" in broken.err
