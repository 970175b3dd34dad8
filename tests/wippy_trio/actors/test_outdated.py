"""OUTDATED: a process that asked to know hears that its code changed, once, and takes the new code by upgrading."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from sandbox.errors import LuaError
from sandbox.values import unpack
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "actors.md"
#: `worker` runs library `top`, which uses library `base`; it tells `log` what it hears. Told to `look`, it takes its
#: events; told to `upgrade`, it does.
ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: base
  kind: library.lua
  source: return {version = 1}
- name: top
  kind: library.lua
  imports: {base: base}
  source: "return {version = require('base').version}"
- name: stranger
  kind: library.lua
  source: return {}
- name: worker
  kind: process.lua
  imports: {top: top}
  source: |
    return function(mode, state)
      local top = require("top")
      process.send("log", "note", "v" .. top.version .. (state and " " .. state or ""))
      if mode == "upgradable" then assert(process.set_options({upgradable = true})) end
      local inbox, events = process.inbox(), process.events()
      while true do
        local message = inbox:receive()
        local topic = message:topic()
        if topic == "look" then
          while true do
            local r = channel.select { events:case_receive(), default = true }
            if r.default then break end
            process.send("log", "note", r.value.kind .. " " .. table.concat(r.value.sources or {r.value.reason}, ","))
          end
        elseif topic == "ask" then
          assert(process.set_options({upgradable = true}))
          assert(process.get_options().upgradable)
        elseif topic == "upgrade" then
          local _, err = process.upgrade(nil, mode, "kept")
          process.send("log", "note", err:kind())
        end
      end
    end
"""


class Log:
    """Takes notes under the name `log`."""

    pid = "{local@test:log|1}"

    def __init__(self, running: App) -> None:
        self.told: list[str] = []
        running.runtime.processes.enter(self.pid, self)
        running.runtime.processes.register("log", self.pid)

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        self.told.extend(unpack(data))
        return 0

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...

    async def told_since(self) -> list[str]:
        """What was told since the last time."""
        await trio.testing.wait_all_tasks_blocked()
        told, self.told = self.told, []
        return told


def changed(running: App, name: str, source: str, **more: Any) -> Change:
    old = running.registry.get(EntryId("app", name))
    assert old is not None
    return Change.update(attrs.evolve(old, data={**old.data, "source": source}, **more))


async def change(running: App, name: str, source: str) -> None:
    await running.registry.apply([changed(running, name, source)])


async def hears(running: App, log: Log, pid: str) -> list[str]:
    running.send(pid, "look")
    return await log.told_since()


async def test_a_change_of_an_import_is_told_with_all_it_concerns(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        assert await log.told_since() == ["v1"]
        await change(running, "base", "return {version = 2}")
        assert await hears(running, log, pid) == ["pid.outdated app:base,app:top,app:worker"]
        running.send(pid, "upgrade")
        assert await log.told_since() == ["v2 kept"]
        assert await hears(running, log, pid) == []


async def test_changes_join_until_they_are_taken(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        await change(running, "top", "return {version = 3}")
        await change(running, "worker", "return 'never run'")
        await change(running, "base", "return {version = 4}")
        assert await hears(running, log, pid) == ["v1", "pid.outdated app:base,app:top,app:worker"]
        await change(running, "base", "return {version = 5}")  # a second one without an upgrade between
        assert await hears(running, log, pid) == ["pid.outdated app:base,app:top,app:worker"]


async def test_one_change_of_several_entries_is_one_event(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        both = [changed(running, name, "return {version = 6}") for name in ("base", "top")]
        await running.registry.apply(both)
        assert await hears(running, log, pid) == ["v1", "pid.outdated app:base,app:top,app:worker"]


async def test_only_who_asked_hears_of_it_and_late_askers_hear_at_once(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "silent")
        await change(running, "top", "return {version = 7}")
        assert await hears(running, log, pid) == ["v1"]
        running.send(pid, "ask")
        assert await hears(running, log, pid) == ["pid.outdated app:top,app:worker"]


@pytest.mark.parametrize("what", ["another entry", "its description", "an undone change"])
async def test_what_leaves_the_code_alone_is_not_told(app: Any, what: str) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        assert await log.told_since() == ["v1"]
        if what == "another entry":
            await change(running, "stranger", "return {1}")
        elif what == "its description":
            old = running.registry.get(EntryId("app", "worker"))
            assert old is not None
            await running.registry.apply([Change.update(attrs.evolve(old, meta={"comment": "new"}))])
        else:
            broken = Change.create(Entry(EntryId("app", "broken"), "library.lua", {}, {"source": "return ("}))
            with pytest.raises(LuaError):
                await running.registry.apply([changed(running, "base", "return {version = 8}"), broken])
        assert await hears(running, log, pid) == []


async def test_an_upgrade_takes_what_waits_with_it_but_not_other_events(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        await change(running, "top", "return {version = 9}")
        running.runtime.processes.cancel(pid, "", "not yet")
        running.send(pid, "upgrade")
        assert await log.told_since() == ["v1", "v9 kept"]
        assert await hears(running, log, pid) == ["pid.cancel not yet"]


async def test_a_deleted_import_is_told_and_the_process_goes_on(app: Any) -> None:
    async with app(ENTRIES) as running:
        log = Log(running)
        pid = await running.spawn("app:worker", "app:host", "upgradable")
        ids: Iterable[str] = ("worker", "top", "base")
        await running.registry.apply([Change.delete(EntryId("app", name)) for name in ids])
        assert await hears(running, log, pid) == ["v1", "pid.outdated app:base,app:top,app:worker"]
        running.send(pid, "upgrade")
        assert await log.told_since() == ["NotFound"]


def counter_of_the_guide() -> str:
    blocks = re.findall(r"```lua\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    [block] = [text for text in blocks if "OUTDATED" in text]
    return textwrap.indent(str(block) + "return counter\n", "    ")


async def test_the_counter_of_the_guide_keeps_its_count(app: Any) -> None:
    text = f"""
- name: host
  kind: process.host
  lifecycle: {{auto_start: true}}
- name: counter
  kind: process.lua
  source: |
{counter_of_the_guide()}
"""
    async with app(text) as running:
        pid = await running.spawn("app:counter", "app:host")
        ended: list[object] = []
        running.runtime.processes.watch(pid, lambda _pid, value, error: ended.append(error or value))
        running.send(pid, "one")
        await trio.testing.wait_all_tasks_blocked()
        old = running.registry.get(EntryId("app", "counter"))
        assert old is not None
        await change(running, "counter", old.data["source"].replace("count + 1", "count + 10"))
        await trio.testing.wait_all_tasks_blocked()
        running.send(pid, "ten")
        await trio.testing.wait_all_tasks_blocked()
        running.runtime.processes.cancel(pid, "", "enough")
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [11]
