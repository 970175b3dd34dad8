"""The table of processes, one process, and why one is gone; in a real app under the virtual clock."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from sandbox.errors import LuaError
from wippy_trio.actors.inspect import details, endings, find_pid, survey, why
from wippy_trio.app.app import App

ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: worker
  kind: process.lua
  modules: [time]
  source: |
    return function(mode)
      if mode == "sleep" then
        require("time").sleep("1h")
        return
      end
      if mode == "tasks" then
        coroutine.spawn(function() require("time").sleep("1h") end)
        coroutine.spawn(function() channel.new(0):send(1) end)
      end
      local inbox = process.inbox()
      while true do
        local message = inbox:receive()
        if message:topic() == "fail" then error("broken here") end
        if message:topic() == "end" then return 1 end
      end
    end
- name: deaf
  kind: process.lua
  source: |
    return function()
      process.events():receive()
    end
- name: pool
  kind: process.supervisor
  host: host
  children: [{id: a, process: worker, args: [idle], name: the-a}]
  lifecycle: {auto_start: true}
- name: lone
  kind: process.service
  process: worker
  host: host
  input: [idle]
  lifecycle: {auto_start: true, restart: {initial_delay: 1s}}
"""


async def spawned(running: App, entry: str = "app:worker", *args: Any) -> str:
    pid = await running.spawn(entry, "app:host", *args)
    await trio.sleep(1)
    return pid


async def test_the_table(app: Any) -> None:
    async with app(ENTRIES) as running:
        pid = await spawned(running, "app:worker", "sleep")
        for topic in ("x", "y"):
            running.send(pid, topic, 1)
        await trio.sleep(1)
        rows = {row.pid: row for row in await survey(running.runtime)}
        tree = next(row for row in rows.values() if row.type == "supervisor")
        child = next(row for row in rows.values() if row.parent == tree.pid)
        lone = next(row for row in rows.values() if row.parent == "app:lone")
        assert len(rows) == 4
        assert (tree.entry, tree.parent, tree.state) == ("app:pool", "app:pool", "waiting")
        assert (child.entry, child.type, child.state) == ("app:worker", "process", "waiting")
        assert (child.waits, child.line) == ("channel.receive (inbox)", "app:worker:12")
        assert (lone.restarts, lone.age_s) == (0, 2.0)
        sleeper = rows[pid]
        assert (sleeper.waits, sleeper.line, sleeper.mailbox) == ("time.sleep", "app:worker:3", 2)
        assert sleeper.steps >= 1
        for target in (child.pid, lone.pid):
            running.send(target, "fail")
        await trio.sleep(3)
        again = {row.parent: row for row in await survey(running.runtime)}
        assert (again[tree.pid].restarts, again["app:lone"].restarts) == (1, 1)


async def test_one_process(app: Any) -> None:
    async with app(ENTRIES) as running:
        processes = running.runtime.processes
        pid, other = await spawned(running, "app:worker", "tasks"), await spawned(running, "app:deaf")
        processes.monitor(other, pid)
        processes.link(pid, other)
        processes.register("clerk", pid)
        told = details(running.runtime, "clerk")
        assert (told["pid"], told["names"], told["host"]) == (pid, ["clerk"], "app:host")
        assert (told["links"], told["monitored_by"], told["monitors"]) == ([other], [other], [])
        assert told["task_count"] == 3
        assert [(task["waits"], task["line"], task["main"]) for task in told["tasks"]] == [
            ("channel.receive (inbox)", "app:worker:12", True),
            ("time.sleep", "app:worker:7", False),
            ("channel.send", "app:worker:8", False),
        ]
        assert told["listens"] == ["inbox"]
        assert "trace" not in told["tasks"][0]
        assert "app:worker:12: in function" in details(running.runtime, pid, trace=True)["tasks"][0]["trace"]
        tree = details(running.runtime, find_pid(running.runtime, "the-a"))["parent"]
        assert [row["id"] for row in details(running.runtime, tree)["children"]] == ["a"]


async def test_why_a_process_waits(app: Any) -> None:
    async with app(ENTRIES) as running:
        pid = await spawned(running, "app:deaf")
        for _ in range(3):
            running.send(pid, "hello", 1)
        told = why(running.runtime, pid)
        assert told["alive"]
        assert told["summary"] == (
            f"{pid} (app:deaf) waits on channel.receive (events) at app:deaf:2; "
            "nobody listens to 3 of the messages it holds"
        )
        assert "app:deaf:2" in told["tasks"][0]["trace"]


async def test_why_a_mailbox_is_full(app: Any) -> None:
    async with app(ENTRIES, settings={"lua": {"mailbox_size": 2}}) as running:
        pid = await spawned(running, "app:deaf")
        for _ in range(2):
            running.send(pid, "hello", 1)
        assert why(running.runtime, pid)["summary"].endswith("its mailbox is full (2): whoever sends to it waits")


async def test_why_a_process_is_gone(app: Any) -> None:
    async with app(ENTRIES) as running:
        failed, done = await spawned(running), await spawned(running)
        running.send(failed, "fail")
        await trio.sleep(1)
        running.send(done, "end")
        await trio.sleep(2)
        told = why(running.runtime, failed)
        assert not told["alive"]
        assert (told["entry"], told["kind"], told["ago_s"]) == ("app:worker", "Internal", 3.0)
        assert "broken here" in told["error"]
        assert "app:worker:13: in function" in told["stack"]
        assert f"{failed} (app:worker) failed: Internal: " in told["summary"]
        assert why(running.runtime, done)["summary"].startswith(f"{done} (app:worker) returned; that was 2.0 s ago")
        assert [item["pid"] for item in endings(running.runtime, 10)] == [done, failed]
        assert [item["pid"] for item in endings(running.runtime, 10, failed_only=True)] == [failed]
        with pytest.raises(LuaError, match="process has ended"):
            details(running.runtime, failed)


async def test_why_a_service_does_not_run(app: Any) -> None:
    async with app(ENTRIES.replace("initial_delay: 1s", "max_attempts: 1")) as running:
        await trio.sleep(1)
        lone = next(row for row in await survey(running.runtime) if row.parent == "app:lone")
        running.send(lone.pid, "fail")
        await trio.sleep(1)
        told = why(running.runtime, "app:lone")
        assert told["state"] == "failed"
        assert "service app:lone is failed, and is meant to be stopped; it failed 1 times in a row" in told["summary"]
        assert "broken here" in told["summary"]
        assert "app:worker:13" in told["stack"]
        assert why(running.runtime, "app:pool")["summary"] == (
            "service app:pool is running, and is meant to be running"
        )


async def test_who_is_meant(app: Any) -> None:
    async with app(ENTRIES) as running:
        runtime = running.runtime
        pid = await spawned(running)
        unique = pid[:-1].rpartition("|")[2]
        assert find_pid(runtime, unique) == pid
        assert find_pid(runtime, pid.strip("{}")) == pid
        with pytest.raises(LuaError, match="no process nobody: none runs, and it is not among the last 1000 failures"):
            find_pid(runtime, "nobody")
        with pytest.raises(LuaError, match="no process app:nothing"):
            why(runtime, "app:nothing")


async def test_a_call_and_a_stranger_are_in_the_table(app: Any) -> None:
    call = """
- name: slow
  kind: function.lua
  method: main
  modules: [time]
  source: |
    return function()
      require("time").sleep("1m")
      return 1
    end
"""

    class Stranger:
        def deliver_now(self, topic: str, source: str, data: bytes) -> int:
            return 0

    async with app(ENTRIES + call) as running:
        running.runtime.processes.enter("{local@py:thing|1}", Stranger())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.call, "app:slow")
            await trio.sleep(1)
            rows = {row.type: row for row in await survey(running.runtime)}
            assert (rows["call"].entry, rows["call"].waits, rows["call"].line) == (
                "app:slow",
                "time.sleep",
                "app:slow:2",
            )
            assert rows["call"].age_s is None
            assert rows["other"].pid == "{local@py:thing|1}"
            assert details(running.runtime, rows["other"].pid)["entry"] == ""
            nursery.cancel_scope.cancel()
        running.runtime.processes.leave("{local@py:thing|1}", None, None)


async def test_a_process_that_looks_at_its_own_host(app: Any) -> None:
    looker = """
- name: looker
  kind: process.lua
  modules: [system, time]
  source: |
    return function()
      process.spawn("app:worker", "app:host", "sleep")
      require("time").sleep("1s")
      local shown = {}
      for i, p in ipairs(require("system").hosts.processes("app:host")) do
        shown[i] = { p.source, p.state, p.steps > 0, p.parent }
      end
      return shown
    end
"""
    async with app(ENTRIES + looker) as running:
        shown = await running.run("app:looker", "app:host")
        pid = endings(running.runtime, 1)[0]["pid"]
        supervisor = next(row.pid for row in await survey(running.runtime) if row.type == "supervisor")
        assert sorted(tuple(row) for row in shown) == [
            ("app:looker", "running", True),
            ("app:worker", "blocked", True, pid),
            ("app:worker", "idle", True),
            ("app:worker", "idle", True, supervisor),
        ]


TIMERS = """
- name: sleepy
  kind: process.lua
  modules: [time]
  source: |
    local time = require("time")
    return function()
      coroutine.spawn(function() time.sleep("90s") end)
      local after, timer, ticker = time.after("5s"), time.timer("1h"), time.ticker("7s")
      local stopped = time.timer("1s")
      stopped:stop()
      local sum = 0
      for i = 1, 300000 do sum = sum + i % 7 end
      process.listen("something")
      process.inbox():receive()
      ticker:stop()
      process.inbox():receive()
    end
"""


async def test_timers_and_processor_time(app: Any) -> None:
    async with app(ENTRIES + TIMERS) as running:
        runtime = running.runtime
        pid, idle = await spawned(running, "app:sleepy"), await spawned(running)
        rows = {row.pid: row for row in await survey(runtime)}
        row = rows[pid]
        assert (row.timers, row.next_timer_s, row.tasks, row.subscriptions) == (4, 3.0, 2, 2)
        assert row.cpu_s > 0
        assert rows[idle].cpu_s < row.cpu_s
        assert (rows[idle].timers, rows[idle].next_timer_s) == (0, None)
        told = details(runtime, pid)
        assert (told["timers"], told["next_timer_s"], told["cpu_s"]) == (4, 3.0, row.cpu_s)
        assert told["waiting_timers"] == [
            {"operation": "time.after", "due_s": 3.0},
            {"operation": "time.tick", "due_s": 5.0},
            {"operation": "time.sleep", "due_s": 88.0},
            {"operation": "time.fire", "due_s": 3598.0},
        ]
        await trio.sleep(4)
        assert [item["operation"] for item in details(runtime, pid)["waiting_timers"]] == [
            "time.tick",
            "time.sleep",
            "time.fire",
        ]
        running.send(pid, "stop", 1)
        await trio.sleep(1)
        assert details(runtime, pid)["timers"] == 2


async def test_what_a_host_tells_of_its_processes(app: Any) -> None:
    script = """
- name: looks
  kind: function.lua
  modules: [system]
  source: return function() return require("system").hosts.processes("app:host") end
"""
    async with app(ENTRIES + TIMERS + script) as running:
        pid = await spawned(running, "app:sleepy")
        shown = {row["pid"]: row for row in await running.call("app:looks")}
        stats = shown[pid]["stats"]
        assert stats.pop("cpu_seconds") > 0
        assert stats == {"subscriptions": 2, "threads": 2, "timers": 4, "next_timer_seconds": 4.0}
