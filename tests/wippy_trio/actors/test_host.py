"""Processes on a host: starting, stopping, mailboxes across hosts, upgrade, and what is left afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from tests.conftest import OpenApp
from wippy_trio.actors.host import HostLimits, ProcessHost, SpawnOptions
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import EMPTY_FRAME
from wippy_trio.core.ids import EntryId

HOSTS = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true, stop_timeout: 10s}
- name: other
  kind: process.host
  lifecycle: {auto_start: true}
- name: diary
  kind: store.memory
"""
OBEDIENT = """
- name: p
  kind: process.lua
  modules: [store, time]
  source: |
    return function(id, slow)
      local diary = require("store").get("app:diary")
      local event = process.events():receive()
      if slow then require("time").sleep(slow) end
      diary:set(tostring(id), event.kind .. " " .. event.reason)
    end
- name: read
  kind: function.lua
  modules: [store]
  source: return function(id) return require("store").get("app:diary"):get(tostring(id)) or "nothing" end
"""


def host_of(running: Any, name: str = "app:host") -> ProcessHost:
    found: ProcessHost = running.runtime.resources.get(name, ProcessHost, "host")
    return found


async def test_stopping_a_host_asks_its_processes_and_ends_who_does_not_obey(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        host = host_of(running)
        for id_, slow in ((1, None), (2, "5s"), (3, "60s")):
            await running.spawn("app:p", "app:host", id_, slow)
        await trio.sleep(1)
        shard = host._shard
        assert shard is not None
        began = trio.current_time()
        await running.supervisor.stop(EntryId("app", "host"))
        assert trio.current_time() - began == 10
        told = [await running.call("app:read", id_) for id_ in (1, 2, 3)]
        assert told == ["pid.cancel scheduler shutdown", "pid.cancel scheduler shutdown", "nothing"]
        assert (host.processes, host.executed_count, shard.actors) == ({}, 3, {})
        assert shard not in running.runtime.engine._shards
        with pytest.raises(LuaError, match="host not found"):
            await running.spawn("app:p", "app:host", 4)


async def test_a_stopping_host_takes_no_more_processes(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        host = host_of(running)
        await running.spawn("app:p", "app:host", 1, "5s")
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.supervisor.stop, EntryId("app", "host"))
            await trio.sleep(1)
            with pytest.raises(LuaError, match="host is shutting down: app:host"):
                host.spawn(EntryId("app", "p"), [], EMPTY_FRAME, SpawnOptions())
        with pytest.raises(LuaError, match="host is not running"):
            host.spawn(EntryId("app", "p"), [], EMPTY_FRAME, SpawnOptions())


async def test_a_restarted_host_is_a_new_one(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        shards = len(running.runtime.engine._shards)
        for _ in range(3):
            await running.supervisor.stop(EntryId("app", "host"))
            await running.supervisor.start(EntryId("app", "host"))
            await running.spawn("app:p", "app:host", 1)
        assert len(running.runtime.engine._shards) == shards


async def test_nothing_is_left_after_an_app_closes(app: OpenApp, autojump_clock: Any) -> None:
    text = HOSTS + """
- name: db
  kind: db.sql.sqlite
  file: ":memory:"
- name: p
  kind: process.lua
  modules: [sql, time, funcs, events]
  source: |
    return function()
      local db = require("sql").get("app:db")
      local tx = db:begin()
      local ticker = require("time").ticker("1s")
      local sub = require("events").subscribe("x.*")
      local f = require("funcs").async("app:f")
      process.registry.register("p" .. process.pid())
      process.inbox():receive()
    end
- name: f
  kind: function.lua
  modules: [time]
  source: return function() require("time").sleep("1h") end
"""
    async with app(text) as running:
        for _ in range(5):
            await running.spawn("app:p", "app:host")
        await trio.sleep(3)
        topology, engine = running.runtime.processes, running.runtime.engine
        host, functions = host_of(running), running.runtime.functions._shard
        assert len(topology.pids()) == 6  # one has the database, the others wait for it
        shards = list(engine._shards)
        actors = [actor for shard in shards for actor in shard.actors.values()]
    assert (topology.pids(), topology._relations, topology._names) == ([], {}, {})
    assert host.processes == {}
    assert functions.actors == {}
    assert [shard.actors for shard in shards] == [{}] * len(shards)
    for actor in actors:
        assert (actor.nursery, actor._handles, actor.commands, actor.children) == (None, {}, {}, {})


@pytest.mark.parametrize("options", [SpawnOptions(name="{bad"), SpawnOptions(parent="{gone}", link=True)])
async def test_a_spawn_that_fails_leaves_nothing(app: OpenApp, autojump_clock: Any, options: SpawnOptions) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        host = host_of(running)
        with pytest.raises(LuaError):
            host.spawn(EntryId("app", "p"), [], EMPTY_FRAME, options)
        assert host._shard is not None
        assert (host.processes, host._shard.actors, running.runtime.processes.pids()) == ({}, {}, [])
        assert running.runtime.processes._relations == {}


async def test_startup_messages_that_do_not_fit_refuse_the_spawn(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT, settings={"lua": {"mailbox_size": 2}}) as running:
        host = host_of(running)
        messages = [("m", [at]) for at in range(3)]
        with pytest.raises(LuaError, match="mailbox of the new process is full"):
            host.spawn(EntryId("app", "p"), [], EMPTY_FRAME, SpawnOptions(messages=messages))
        assert host.processes == {}


async def test_executing_ends_with_its_caller(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        with trio.move_on_after(1):
            await running.run("app:p", "app:host", 1)
        assert host_of(running).processes == {}
        with pytest.raises(LuaError, match="not found"):
            await running.run("app:none", "app:host")


FLOW = HOSTS + """
- name: receiver
  kind: process.lua
  modules: [time]
  source: |
    return function(count, pause)
      local time, inbox, last, n = require("time"), nil, {}, 0
      time.sleep("1s")
      inbox = process.inbox()
      while n < count do
        local m = inbox:receive()
        local v = m:payload():data()
        if v ~= (last[m:from()] or 0) + 1 then return "out of order" end
        last[m:from()], n = v, n + 1
        if n % 50 == 0 then time.sleep(pause) end
      end
      return n
    end
- name: sender
  kind: process.lua
  source: |
    return function(to, count)
      for i = 1, count do
        local ok, err = process.send(to, "m", i)
        if not ok then return err:kind() .. " at " .. i end
      end
      return "sent"
    end
"""


@pytest.mark.parametrize(("host", "by_name"), [("app:host", False), ("app:other", False), ("app:host", True)])
async def test_a_sender_waits_for_room_wherever_it_is(
    app: OpenApp, autojump_clock: Any, host: str, by_name: bool
) -> None:
    async with app(FLOW, settings={"lua": {"mailbox_size": 10}}) as running:
        results: list[Any] = []
        pid = await running.spawn("app:receiver", "app:host", 600, "1s")
        running.runtime.processes.register("name", pid)
        receiver = running.runtime.processes.find(pid)

        async def send() -> None:
            results.append(await running.run("app:sender", host, "name" if by_name else pid, 200))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(send)
        await receiver.ended.wait()
        assert receiver.value == 600
        assert results == ["sent"] * 3


@pytest.mark.parametrize("host", ["app:host", "app:other"])
async def test_a_sender_that_waits_hears_that_the_receiver_is_gone(
    app: OpenApp, autojump_clock: Any, host: str
) -> None:
    async with app(FLOW, settings={"lua": {"mailbox_size": 10}}) as running:
        pid = await running.spawn("app:receiver", "app:host", 15, "5s")
        told = await running.run("app:sender", host, pid, 100)
        assert told.startswith("NotFound at ")


async def test_a_process_that_fills_its_own_mailbox_is_told(app: OpenApp, autojump_clock: Any) -> None:
    text = HOSTS + """
- name: p
  kind: process.lua
  source: |
    return function(name)
      process.registry.register("me")
      local n = 0
      while true do
        local ok, err = process.send(name or process.pid(), "m", n)
        if not ok then return { n, err:kind(), err:retryable() } end
        n = n + 1
      end
    end
"""
    async with app(text, settings={"lua": {"mailbox_size": 10}}) as running:
        assert await running.run("app:p", "app:host") == [10, "Unavailable", True]
        assert await running.run("app:p", "app:host", "me") == [10, "Unavailable", True]


async def test_a_process_may_terminate_itself(app: OpenApp, autojump_clock: Any) -> None:
    text = HOSTS + """
- name: p
  kind: process.lua
  modules: [store]
  source: |
    return function()
      process.terminate(process.pid())
      while true do end
    end
- name: after
  kind: process.lua
  modules: [store]
  source: |
    return function()
      process.terminate(process.pid())
      pcall(function() require("store").get("app:diary"):set("1", "still there") end)
      return "never seen"
    end
""" + OBEDIENT.replace("name: p\n", "name: q\n")
    async with app(text) as running:
        for name in ("app:p", "app:after"):
            with pytest.raises(LuaError, match="process terminated"):
                await running.run(name, "app:host")
        await trio.sleep(1)
        assert await running.call("app:read", 1) == "nothing"


async def test_an_upgrade_drops_what_the_old_code_held(app: OpenApp, autojump_clock: Any) -> None:
    text = HOSTS + """
- name: db
  kind: db.sql.sqlite
  file: ":memory:"
- name: p
  kind: process.lua
  modules: [sql, time, funcs]
  source: |
    return function(n)
      n = n or 0
      if n == 20 then return n end
      local tx = require("sql").get("app:db"):begin()
      local f = require("funcs").async("app:f")
      local late = require("time").after("1h")
      coroutine.spawn(function() require("time").sleep("1h") end)
      process.upgrade(nil, n + 1)
    end
- name: f
  kind: function.lua
  modules: [time]
  source: return function() require("time").sleep("1h") end
"""
    async with app(text) as running:
        with trio.fail_after(100):
            assert await running.run("app:p", "app:host") == 20
        await trio.testing.wait_all_tasks_blocked()
        assert running.runtime.functions._shard.actors == {}
        assert running.runtime.processes.pids() == []


async def test_a_background_task_that_fails_ends_its_process_alone(app: OpenApp, autojump_clock: Any) -> None:
    async with app(HOSTS + OBEDIENT) as running:
        fails = running.runtime.processes.find(await running.spawn("app:p", "app:host", 1))
        stays = running.runtime.processes.find(await running.spawn("app:p", "app:host", 2))
        await trio.sleep(1)

        async def broken(problem: Exception) -> None:
            await trio.sleep(1)
            raise problem

        fails.actor.background(broken, ValueError("a bug"))
        await fails.ended.wait()
        assert str(fails.error) == "internal error: ValueError: a bug"
        assert not stays.ended.is_set()
        other = running.runtime.processes.find(await running.spawn("app:p", "app:host", 3))
        other.actor.after_s(1, lambda: (_ for _ in ()).throw(LuaError("told", kind="Conflict")))
        await other.ended.wait()
        assert (other.error.message, other.error.kind) == ("told", "Conflict")


async def test_limits_of_a_host_by_hand() -> None:
    assert (HostLimits().max_processes, HostLimits().stop_s) == (100_000, 10.0)
