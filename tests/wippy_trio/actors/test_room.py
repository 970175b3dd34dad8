"""Senders that wait for room in a full mailbox: none is forgotten."""

from __future__ import annotations

import pytest

from tests.conftest import OpenApp

ENTRIES = """
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- name: receiver
  kind: process.lua
  method: main
  modules: [time]
  source: |
    return { main = function(count)
      local inbox = process.inbox()
      require("time").sleep("10ms")
      local got = {}
      for at = 1, count do got[at] = inbox:receive():payload():data() end
      return table.concat(got, " ")
    end }
- name: sender
  kind: process.lua
  method: main
  modules: [time]
  source: |
    return { main = function(to, word, count, forked)
      local function run()
        for at = 1, count do process.send(to, "m", word .. at) end
      end
      if not forked then return run() end
      coroutine.spawn(run)
      require("time").sleep("1h")
    end }
- name: scenario
  kind: function.lua
  method: main
  modules: [time]
  source: |
    return { main = function(count, kill)
      local events = process.events()
      local to = process.spawn_monitored("app:receiver", "app:host", count)
      local first = process.spawn("app:sender", "app:host", to, "a", 2, kill)
      process.spawn("app:sender", "app:host", to, "b", 1)
      if kill then
        require("time").sleep("5ms") -- both wait
        process.terminate(first)
      end
      return events:receive().result.value
    end }
"""


@pytest.mark.parametrize("size", [1, 2])
async def test_who_is_handed_a_message_leaves_room_for_the_next(app: OpenApp, size: int) -> None:
    async with app(ENTRIES, settings={"lua": {"mailbox_size": size}}) as running:
        assert sorted(str(await running.call("app:scenario", 3, False)).split()) == ["a1", "a2", "b1"]


async def test_who_ends_while_it_waits_leaves_its_place(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"lua": {"mailbox_size": 1}}) as running:
        assert await running.call("app:scenario", 2, True) == "a1 b1"
