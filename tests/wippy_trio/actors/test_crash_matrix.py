"""Every kind of ending seen from every relation, in a real app: the cells of crash_matrix.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from sandbox.errors import LuaError
from sandbox.values import unpack
from tests.wippy_trio.actors.crash_matrix import CHILDREN, ENDINGS, RELATIONS, Cell, Ending
from tests.wippy_trio.actors.puppets import collapse
from wippy_trio.actors.host import Process, terminated
from wippy_trio.actors.tree import Tree, find_tree
from wippy_trio.app.app import App
from wippy_trio.core.ids import EntryId

SETTINGS: dict[str, dict[str, Any]] = {"lua": {"cpu_limit": "2ms", "memory_limit": "24M"}}
HOST, SERVICE, POOL = EntryId("app", "host"), EntryId("app", "kept"), EntryId("app", "pool")
#: Endings in which whoever keeps the process stops it.
STOPS = {"stop", "deaf"}
DEAF = {"deaf", "host_deaf"}
#: Endings whose error says that another try is of no use.
UNREPEATABLE = {"final", "table", "deaf", "terminate", "host_deaf"}
ENTRIES = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true, stop_timeout: 10s}
- name: safe
  kind: process.host
  lifecycle: {auto_start: true}
- name: subject
  kind: process.lua
  source: |
    local endings = {
      ["return"] = function() return "done" end,
      error = function() error("boom") end,
      object = function() error(errors.new({kind = errors.CONFLICT, message = "no luck"})) end,
      task = function()
        coroutine.spawn(function() error("boom") end)
        channel.new(0):receive()
      end,
      final = function() return nil, errors.new({kind = errors.CONFLICT, message = "no use", retryable = false}) end,
      table = function() error({kind = errors.CONFLICT, message = "no table", retryable = false}) end,
      budget = function() while true do end end,
      memory = function()
        local held = {}
        while true do held[#held + 1] = string.rep("x", 100000) .. #held end
      end,
    }
    return function(deaf)
      process.registry.register("subject")
      local inbox, events = process.inbox(), process.events()
      process.send("log", "note", "start", process.pid())
      while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == inbox then return endings[ready.value:topic()]() end
        if not deaf and ready.value.kind == process.event.CANCEL then return "stopped" end
      end
    end
- name: watcher
  kind: process.lua
  source: |
    return function(relation, target, deaf)
      if relation == "exec" then
        local value, err = process.exec(target, "app:host", deaf)
        process.send("log", "note", err and "error" or "value", value, err)
        return process.inbox():receive()
      end
      if relation == "monitor" then assert(process.monitor(target)) end
      if relation == "link" or relation == "trap" then
        assert(process.set_options({trap_links = relation == "trap"}))
        assert(process.link(target))
      end
      local events = process.events()
      while true do
        local event = events:receive()
        assert(event.from == target)
        process.send("log", "note", event.kind, event.result.value, event.result.error)
      end
    end
- name: sibling
  kind: process.lua
  source: |
    return function(name)
      process.send("log", "note", "sibling", name)
      process.events():receive()
    end
- name: kept
  kind: process.service
  process: subject
  host: host
  input: [DEAF]
  lifecycle: {stop_timeout: 10s}
- name: pool
  kind: process.supervisor
  host: safe
  strategy: STRATEGY
  children:
    - {id: a, process: sibling, args: [a]}
    - {id: subject, process: subject, host: host, args: [DEAF], restart: RESTART}
    - {id: c, process: sibling, args: [c]}
"""


class Log:
    """Takes notes under the name `log`."""

    pid = "{local@test:log|1}"

    def __init__(self, running: App) -> None:
        self.notes: list[list[Any]] = []
        running.runtime.processes.enter(self.pid, self)
        running.runtime.processes.register("log", self.pid)

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        self.notes.append(unpack(data))
        return 0

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...

    def take(self) -> list[list[Any]]:
        """What was noted since the last time."""
        notes, self.notes = self.notes, []
        return notes


def entries(ending: Ending, relation: str) -> str:
    strategy = relation if relation in {"one_for_all", "rest_for_one"} else "one_for_one"
    restart = relation if relation in {"permanent", "transient", "temporary"} else "permanent"
    deaf = "true" if ending.name in DEAF else "false"
    return ENTRIES.replace("DEAF", deaf).replace("STRATEGY", strategy).replace("RESTART", restart)


def process_of(running: App, pid: str) -> Process:
    found = running.runtime.processes.find(pid)
    assert isinstance(found, Process)
    return found


async def end(running: App, pid: str, ending: Ending, stop: Callable[[], Any]) -> None:
    """Make the subject end that way."""
    process = process_of(running, pid)
    match ending.name:
        case "cancel":
            running.runtime.processes.cancel(pid, "", "please")
        case "terminate":
            process.terminate_now(terminated())
        case "collapse":
            collapse(process.actor.shard)
        case "stop" | "deaf":
            await stop()
        case "host" | "host_deaf":
            await running.supervisor.stop(HOST)
        case _:
            running.send(pid, ending.name)
    await trio.testing.wait_all_tasks_blocked()


def check_result(ending: Ending, value: object, error: LuaError | None) -> None:
    if ending.kind:
        assert error is not None
        assert error.kind == ending.kind
        assert ending.message in error.message
        assert (error.retryable is False) is (ending.name in UNREPEATABLE)
    else:
        assert (value, error) == (ending.value, None)


def pairs(columns: dict[str, str]) -> list[Any]:
    return [
        pytest.param(ending, relation, cell, id=f"{ending.name}-{relation}")
        for ending in ENDINGS
        for relation in columns
        if (cell := ending.cells[relation]) is not None
    ]


@pytest.mark.parametrize(("ending", "relation", "cell"), pairs({k: v for k, v in RELATIONS.items() if k != "service"}))
async def test_watchers(app: Any, ending: Ending, relation: str, cell: Cell) -> None:
    async with app(entries(ending, relation), settings=SETTINGS) as running:
        log, processes = Log(running), running.runtime.processes
        deaf = ending.name in DEAF
        target = "app:subject"
        if ending.name in STOPS:
            await running.supervisor.start(SERVICE)
        elif relation != "exec":
            await running.spawn("app:subject", "app:host", deaf)
        if relation != "exec":
            await trio.testing.wait_all_tasks_blocked()
            target = processes.lookup("subject")
        watcher = process_of(running, await running.spawn("app:watcher", "app:safe", relation, target, deaf))
        await trio.testing.wait_all_tasks_blocked()
        [[_, pid]] = log.take()
        ended: list[tuple[object, LuaError | None]] = []
        processes.watch(pid, lambda _pid, value, error: ended.append((value, error)))
        await end(running, pid, ending, lambda: running.supervisor.stop(SERVICE))

        assert len(ended) == 1
        check_result(ending, *ended[0])
        notes = log.take()
        assert [note[0] for note in notes] == list(cell.told)
        for _, value, *error in notes:
            check_result(ending, value, error[0] if error else None)
        assert watcher.ended.is_set() is not cell.lives
        if not cell.lives:
            assert watcher.error is not None
            assert (watcher.error.kind, watcher.error.message) == ("Internal", "linked process failed")
        assert processes.find(pid) is None
        assert processes.lookup("subject") is None
        with pytest.raises(LuaError, match="process not found"):
            running.send(pid, "hello")


@pytest.mark.parametrize(("ending", "relation", "cell"), pairs({"service": ""}))
async def test_services(app: Any, ending: Ending, relation: str, cell: Cell) -> None:
    async with app(entries(ending, relation), settings=SETTINGS) as running:
        log = Log(running)
        await running.supervisor.start(SERVICE)
        await trio.testing.wait_all_tasks_blocked()
        [[_, pid]] = log.take()
        await end(running, pid, ending, lambda: running.supervisor.stop(SERVICE))
        service = running.supervisor.get(SERVICE)
        assert service is not None
        assert service.state == ("failed" if cell.starts > 1 else cell.state)
        await trio.sleep(5)
        assert service.state == cell.state
        assert service.restarts == cell.starts - 1
        assert len(log.take()) == cell.starts - 1


@pytest.mark.parametrize(("ending", "relation", "cell"), pairs(CHILDREN))
async def test_children(app: Any, ending: Ending, relation: str, cell: Cell) -> None:
    async with app(entries(ending, relation), settings=SETTINGS) as running:
        log = Log(running)
        await running.supervisor.start(POOL)
        await trio.testing.wait_all_tasks_blocked()
        tree = find_tree(running.runtime, "app:pool")
        pid = next(note[1] for note in log.take() if note[0] == "start")
        await end(running, pid, ending, lambda: tree.terminate_child("subject"))
        if cell.state == "gave up":
            assert tree.ended.is_set()
            assert tree.error is not None
            assert "gave up" in tree.error.message
            assert running.supervisor.get(POOL).state == "failed"
            return
        assert state_of(tree) == cell.state
        notes = log.take()
        assert sum(note[0] == "start" for note in notes) == cell.starts - 1
        assert "".join(note[1] for note in notes if note[0] == "sibling") == cell.siblings
        assert not tree.ended.is_set()


@pytest.mark.parametrize("name", ["error", "task", "budget", "memory", "collapse"])
async def test_neighbours(app: Any, name: str) -> None:
    """What ends one actor leaves the others of its host alone, unless the VM fails as a whole."""
    [ending] = [ending for ending in ENDINGS if ending.name == name]
    async with app(entries(ending, "none"), settings=SETTINGS) as running:
        log = Log(running)
        pid = await running.spawn("app:subject", "app:host", False)
        neighbour = process_of(running, await running.spawn("app:sibling", "app:host", "n"))
        await trio.testing.wait_all_tasks_blocked()
        await end(running, pid, ending, lambda: None)
        assert neighbour.ended.is_set() is (name == "collapse")
        log.take()
        later = await running.spawn("app:subject", "app:host", False)
        await trio.testing.wait_all_tasks_blocked()
        assert log.take() == [["start", later]]


def state_of(tree: Tree) -> str:
    return next((row["state"] for row in tree.which_children() if row["id"] == "subject"), "forgotten")
