"""New code for a running process: no message is lost, wherever it waits."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp
from wippy_trio.app.app import App

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: sender
  kind: process.lua
  modules: [time]
  source: |
    return function(to, topic, count, pause)
      for i = 1, count do
        process.send(to, topic, i)
        if pause then require("time").sleep(pause) end
      end
      process.events():receive()
    end
- name: server
  kind: process.lua
  modules: [time]
  source: |
    local time = require("time")
    return function(seen, how, until_count, generation)
      local jobs, topics = process.listen("jobs"), {}
      if how == "inbox" then process.inbox() end
      local function count() return #seen end
      local function take(v) seen[#seen + 1] = v end
      if how == "tasks" then
        for _ = 1, 3 do
          coroutine.spawn(function()
            while true do take(jobs:receive()) end
          end)
        end
        time.sleep("1ms")
      else
        for _ = 1, 3 do take(jobs:receive()) end
      end
      if count() >= until_count then return { seen, generation } end
      process.upgrade(nil, seen, how, until_count, generation + 1)
    end
- name: before
  kind: process.lua
  modules: [time]
  source: |
    return function()
      local raw, told = process.listen("raw"), process.listen("told", { message = true })
      local never = process.listen("never")
      require("time").sleep("1s")
      process.upgrade("app:after")
    end
- name: after
  kind: process.lua
  source: |
    return function()
      local topics, seen = { "raw", "told", "never", "unheard" }, {}
      for i, topic in ipairs(topics) do
        local channel = process.listen(topic, { message = true })
        for j = 1, 3 do
          local m = channel:receive()
          local p = m:payload()
          local shown = p and (type(p) == "table" and { p[1]:data(), p[2]:data() } or p:data())
          seen[#seen + 1] = { m:topic(), m:from(), shown == nil and "nothing" or shown }
        end
      end
      return seen
    end
- name: again
  kind: process.lua
  modules: [time]
  source: |
    return function(round)
      local raw = process.listen("raw")
      if round then
        require("time").sleep("1s")
        process.upgrade("app:after")
      end
      process.upgrade("app:again", 2)
    end
- name: refused
  kind: process.lua
  modules: [time]
  source: |
    return function()
      local jobs, seen = process.listen("jobs"), {}
      coroutine.spawn(function()
        while true do seen[#seen + 1] = jobs:receive() end
      end)
      process.inbox()
      local nothing, err = process.upgrade("app:nobody")
      local message = process.inbox():receive()
      local event = process.events():receive()
      require("time").sleep("1ms")
      return { seen, err:kind(), message:payload():data(), event.kind }
    end
"""


async def spawned(running: App, entry: str, *args: Any) -> str:
    return await running.spawn(f"app:{entry}", "app:host", *args)


@pytest.mark.parametrize("how", ["topic", "inbox", "tasks"])
@pytest.mark.parametrize("pause", [None, "200us"])
async def test_many_upgrades_under_load_lose_nothing(app: OpenApp, how: str, pause: str | None) -> None:
    async with app(ENTRIES) as running:
        server = await spawned(running, "server", [], how, 300, 1)
        process = running.runtime.processes.find(server)
        for _ in range(3):
            await spawned(running, "sender", server, "jobs", 100, pause)
        with trio.fail_after(60):
            await process.ended.wait()
        seen, generation = process.value
        assert sorted(seen) == sorted([*range(1, 101)] * 3)
        assert generation > (90 if how != "tasks" else 1 if pause else 0)


async def test_what_waited_in_a_topic_is_a_message_again(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        pid = await spawned(running, "before")
        process = running.runtime.processes.find(pid)
        await trio.sleep(0.1)
        async with running.mailbox("py") as mailbox:
            for topic in ("raw", "told", "never", "unheard"):
                await mailbox.send(pid, topic, 1)
                await mailbox.send(pid, topic)
                await mailbox.send(pid, topic, "a", "b")
            await process.ended.wait()
            assert process.value == [
                [topic, mailbox.pid, shown]
                for topic in ("raw", "told", "never", "unheard")
                for shown in (1, "nothing", ["a", "b"])
            ]


async def test_senders_are_known_after_two_upgrades(app: OpenApp) -> None:
    async with app(ENTRIES) as running, running.mailbox() as mailbox:
        pid = await spawned(running, "again")
        process = running.runtime.processes.find(pid)
        for topic in ("raw", "told", "never", "unheard"):
            for value in (1, 2, 3):
                await mailbox.send(pid, topic, value)
        await process.ended.wait()
        assert [row[1:] for row in process.value] == [[mailbox.pid, value] for _ in range(4) for value in (1, 2, 3)]


async def test_a_refused_upgrade_changes_nothing(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        pid = await spawned(running, "refused")
        process = running.runtime.processes.find(pid)
        await trio.lowlevel.checkpoint()
        for number in range(1, 6):
            running.send(pid, "jobs", number)
        running.send(pid, "hello", "x")
        running.runtime.processes.cancel(pid, "", "")
        await process.ended.wait()
        assert process.value == [[1, 2, 3, 4, 5], "NotFound", "x", "pid.cancel"]


async def test_a_flood_does_not_stop_an_upgrade(app: OpenApp) -> None:
    spins = """
- name: spins
  kind: process.lua
  source: |
    return function(generation)
      if generation then return "new" end
      coroutine.spawn(function() while true do coroutine.yield() end end)
      process.upgrade(nil, 2)
    end
"""
    async with app(ENTRIES + spins, settings={"lua": {"cpu_limit": "1h"}}) as running:
        assert await running.run("app:spins", "app:host") == "new", "tasks that never wait are given a while"


async def test_a_busy_server_is_not_stopped_for_serving(app: OpenApp) -> None:
    busy = """
- name: busy
  kind: process.lua
  source: |
    return function(count)
      local jobs, sum = process.listen("jobs"), 0
      for _ = 1, count do
        sum = sum + jobs:receive()
        for i = 1, 2000 do end
      end
      return sum
    end
"""
    async with app(ENTRIES + busy, settings={"lua": {"cpu_limit": "5ms"}}) as running:
        pid = await spawned(running, "busy", 600)
        process = running.runtime.processes.find(pid)
        for _ in range(600):
            running.send(pid, "jobs", 1)
        await process.ended.wait()
        assert (process.value, process.error) == (600, None)
