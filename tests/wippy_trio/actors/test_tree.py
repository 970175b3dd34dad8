"""Supervision trees of real processes in a real app, under the virtual clock."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from sandbox.errors import LuaError
from sandbox.values import unpack
from tests.conftest import entries_of
from wippy_trio.actors.host import ProcessHost, terminated
from wippy_trio.actors.strategy import Restart
from wippy_trio.actors.tree import Tree, find_tree
from wippy_trio.actors.tree_spec import ChildSpec, TreeSpec
from wippy_trio.app.app import App
from wippy_trio.core.errors import UnavailableError
from wippy_trio.core.frame import EMPTY_FRAME
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

#: A process that ends as it is told: it tells `log` when it starts and when it is asked to stop.
WORKER = """
- name: host
  kind: process.host
  lifecycle: {auto_start: true}
- name: worker
  kind: process.lua
  source: |
    local function note(text) process.send("log", "note", text) end
    return function(name, mode)
      note("+" .. tostring(name))
      if mode == "fail" then error("born to fail") end
      local inbox, events = process.inbox(), process.events()
      while true do
        local ready = channel.select { inbox:case_receive(), events:case_receive() }
        if ready.channel == events then
          if ready.value.kind == process.event.CANCEL and mode ~= "deaf" then
            note("-" .. tostring(name))
            return "stopped"
          end
        else
          local how = ready.value:topic()
          if how == "return" then return 1 end
          if how == "error" then error("broken") end
          if how == "final" then return nil, errors.new({message = "no use", kind = "Invalid", retryable = false}) end
        end
      end
    end
"""
ALL = ["one_for_one", "one_for_all", "rest_for_one"]
KINDS = ["permanent", "transient", "temporary"]
POOL = EntryId("app", "pool")
ENDINGS = ["return", "error", "final", "terminate"]


def pool(children: str, more: str = "") -> str:
    return f"""{WORKER}
- name: pool
  kind: process.supervisor
  host: host
  {more}
  children: {children}
  lifecycle: {{start_timeout: 10s}}
"""


class Notes:
    """A process in Python that keeps what it is sent."""

    pid = "{local@test:notes|1}"

    def __init__(self) -> None:
        self.told: list[str] = []

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        self.told.extend(unpack(data))
        return 0

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...

    def take(self) -> str:
        """What was told since the last time."""
        told, self.told = self.told, []
        return " ".join(told)


@pytest.fixture
def opened(app: Any) -> Any:
    """An app with somebody called `log`, and its pool started."""

    @asynccontextmanager
    async def open_(text: str) -> AsyncIterator[tuple[App, Notes]]:
        async with app(text) as running:
            notes = Notes()
            running.runtime.processes.enter(notes.pid, notes)
            running.runtime.processes.register("log", notes.pid)
            if running.supervisor.get(POOL) is not None:
                await running.supervisor.start(POOL)
            yield running, notes

    return open_


def left(running: App) -> list[str]:
    """Processes and supervisors that run, in Lua."""
    return [pid for pid in running.runtime.processes.pids() if pid != Notes.pid]


def three(kind: str) -> str:
    middle = f"{{id: b, process: worker, args: [b], restart: {kind}}}"
    return f"[{{id: a, process: worker, args: [a]}}, {middle}, {{id: c, process: worker, args: [c]}}]"


def tree_of(running: Any) -> Tree:
    tree: Tree = running.runtime.resources.get("app:pool", Tree)
    return tree


def pids(tree: Tree) -> dict[str, str | None]:
    return {row["id"]: row.get("pid") for row in tree.which_children()}


def end(running: Any, pid: str | None, how: str) -> None:
    if how == "terminate":
        running.runtime.processes.find(pid).terminate_now(terminated())
    else:
        running.send(pid, how)


@pytest.mark.parametrize(("strategy", "kind", "how"), list(itertools.product(ALL, KINDS, ENDINGS)))
async def test_who_is_restarted(opened: Any, strategy: str, kind: str, how: str) -> None:
    async with opened(pool(three(kind), f"strategy: {strategy}")) as (running, notes):
        tree = tree_of(running)
        await trio.sleep(1)
        assert notes.take() == "+a +b +c"
        before = pids(tree)
        end(running, before["b"], how)
        await trio.sleep(1)
        after = pids(tree)
        restarted = {name for name in after if after[name] is not None and after[name] != before[name]}
        again = kind == "permanent" or (kind == "transient" and how == "error")
        together = {"one_for_one": {"b"}, "one_for_all": {"a", "b", "c"}, "rest_for_one": {"b", "c"}}[strategy]
        assert restarted == (together if again else set())
        assert ("b" in after) == (kind != "temporary")
        assert (after.get("b") is not None) == again
        follows = {"one_for_one": "+b", "one_for_all": "-c -a +a +b +c", "rest_for_one": "-c +b +c"}
        assert notes.take() == (follows[strategy] if again else "")
    assert left(running) == []


async def test_start_in_order_and_stop_in_reverse(opened: Any) -> None:
    async with opened(pool(three("permanent"))) as (running, notes):
        await trio.sleep(1)
        assert notes.take() == "+a +b +c"
        await running.supervisor.stop(POOL)
        assert notes.take() == "-c -b -a"


async def test_too_many_restarts_fail_upward(opened: Any) -> None:
    more = "max_restarts: 2\n  window: 10s"
    text = pool("[{id: a, process: worker, args: [a]}]", more).replace(
        "{start_timeout: 10s}", "{restart: {initial_delay: 5s, max_attempts: 2}}"
    )
    async with opened(text) as (running, _notes):
        service = running.supervisor.get(POOL)
        for _ in range(3):
            await trio.sleep(1)
            running.send(pids(tree_of(running))["a"], "error")
        await trio.sleep(1)
        assert service.state == "failed"
        assert "gave up: more than 2 restarts within 10 s; the last was a: " in str(service.error)
        assert "broken" in str(service.error)
        await trio.sleep(6)  # the service is started again, all children with it
        assert service.state == "running"
        assert service.restarts == 1
        # Restarts further apart than the window are borne.
        for _ in range(4):
            running.send(pids(tree_of(running))["a"], "error")
            await trio.sleep(11)
        assert service.state == "running"
        assert tree_of(running).which_children()[0]["restarts"] == 4


async def test_a_child_that_cannot_start_again_fails_upward_at_once(opened: Any) -> None:
    async with opened(pool("[{id: a, process: worker, args: [a]}]")) as (running, _notes):
        service = running.supervisor.get(POOL)
        await trio.sleep(1)
        await running.supervisor.stop(EntryId("app", "host"))
        await trio.sleep(0.01)  # the first restart of the service comes after a second
        assert service.state == "failed"
        assert "host not found" in str(service.error)


async def test_a_child_that_does_not_start_at_first_stops_those_before_it(opened: Any) -> None:
    children = "[{id: a, process: worker, args: [a]}, {id: b, process: nothing}]"
    async with opened(WORKER) as (running, _):
        await running.registry.apply([Change.create(entry) for entry in entries_of(pool(children))[-1:]])
        with pytest.raises(LuaError, match="factory not found: app:nothing"):
            await running.supervisor.start(POOL)
        assert left(running) == []


async def test_shutdown_asks_then_ends(opened: Any) -> None:
    children = """
    - {id: obeys, process: worker, args: [obeys]}
    - {id: deaf, process: worker, args: [deaf, deaf], shutdown: 3s}
    - {id: killed, process: worker, args: [killed], shutdown: brutal_kill}
  """
    async with opened(pool(children)) as (running, notes):
        await trio.sleep(1)
        assert notes.take() == "+obeys +deaf +killed"
        started = trio.current_time()
        await running.supervisor.stop(POOL)
        assert trio.current_time() - started == 3
        assert notes.take() == "-obeys"


async def test_the_stop_as_a_whole_is_bounded_by_the_service(opened: Any) -> None:
    text = pool("[{id: a, process: worker, args: [a, deaf], shutdown: infinity}]")
    async with opened(text.replace("start_timeout: 10s", "stop_timeout: 4s")) as (running, _notes):
        await trio.sleep(1)
        started = trio.current_time()
        await running.supervisor.stop(POOL)
        assert trio.current_time() - started == 4
        assert left(running) == []


NESTED = """
    - {id: first, process: worker, args: [first]}
    - id: inner
      type: supervisor
      strategy: one_for_all
      max_restarts: 1
      children:
        - {id: x, process: worker, args: [x]}
        - {id: y, process: worker, args: [y]}
    - {id: last, process: worker, args: [last]}
  """


async def test_supervisors_below_supervisors(opened: Any) -> None:
    async with opened(pool(NESTED, "strategy: rest_for_one")) as (running, notes):
        await trio.sleep(1)
        outer, inner = tree_of(running), find_tree(running.runtime, "app:pool/inner")
        assert inner.parent == outer.pid
        assert outer.count_children() == {"specs": 3, "active": 3, "supervisors": 1, "workers": 2}
        running.send(pids(inner)["x"], "error")
        await trio.sleep(1)
        assert notes.take() == "+first +x +y +last -y +x +y"
        assert find_tree(running.runtime, inner.pid) is inner
        running.send(pids(inner)["y"], "error")  # once too often: the inner one fails, and with it who follows
        await trio.sleep(1)
        assert notes.take() == "-x -last +x +y +last"
        assert find_tree(running.runtime, "app:pool/inner") is not inner
        assert isinstance(inner.error, UnavailableError)
        assert outer.which_children()[1]["restarts"] == 1
        await running.supervisor.stop(POOL)
        assert notes.take() == "-last -y -x -first"
        assert left(running) == []


async def test_nothing_outlives_a_cancelled_supervisor(opened: Any) -> None:
    async with opened(WORKER) as (running, _notes):
        runtime = running.runtime
        host = EntryId("app", "host")
        worker = ChildSpec("w", process=EntryId("app", "worker"), host=host, args=("w",))
        inner = ChildSpec("inner", tree=TreeSpec(children=(worker,)))
        tree = Tree(TreeSpec(children=(worker, inner)), runtime, "app:loose", EMPTY_FRAME)
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            assert len(left(running)) == 4
            nursery.cancel_scope.cancel()
        assert left(running) == []
        assert tree.error is None


async def test_a_supervisor_is_a_process_to_others(opened: Any) -> None:
    async with opened(pool(NESTED)) as (running, notes):
        processes = running.runtime.processes
        await trio.sleep(1)
        told: list[tuple[str, Any]] = []
        inner = find_tree(running.runtime, "app:pool/inner")
        processes.watch(inner.pid, lambda pid, _value, error: told.append((pid, error)))
        with pytest.raises(LuaError, match="process not found"):
            running.send(inner.pid, "hello", 1)
        processes.cancel(inner.pid, "", "enough")  # stops in order; as a permanent child it is started again
        await trio.sleep(1)
        again = find_tree(running.runtime, "app:pool/inner")
        assert told == [(inner.pid, None)]
        processes.find(again.pid).terminate_now(terminated())
        await trio.sleep(1)
        assert str(again.error) == "process terminated"
        assert notes.take() == "+first +x +y +last -y -x +x +y +x +y"
        tree = tree_of(running)
        processes.find(tree.pid).terminate_now(terminated())
        await trio.sleep(1)
        assert running.supervisor.get(POOL).state == "exited"
        assert left(running) == []


async def test_dynamic_children(opened: Any) -> None:
    async with opened(pool("[]", "max_children: 3")) as (running, _notes):
        tree = tree_of(running)
        worker, host = EntryId("app", "worker"), EntryId("app", "host")

        def spec(child: str, **more: Any) -> ChildSpec:
            return ChildSpec(child, process=worker, host=host, args=(child,), **more)

        pid = await tree.start_child(spec("a", name="the-a"))
        assert running.runtime.processes.lookup("the-a") == pid
        with pytest.raises(LuaError, match="child exists already: app:pool/a") as refused:
            await tree.start_child(spec("a"))
        assert refused.value.details == {"pid": pid}
        with pytest.raises(LuaError, match="name already registered: the-a"):
            await tree.start_child(spec("b", name="the-a"))
        await tree.start_child(spec("b", restart=Restart.TEMPORARY))
        await tree.start_child(spec("c"))
        with pytest.raises(LuaError, match="holds 3 children already"):
            await tree.start_child(spec("d"))
        with pytest.raises(LuaError, match="child runs: app:pool/a"):
            await tree.delete_child("a")
        with pytest.raises(LuaError, match="child runs already"):
            await tree.restart_child("a")
        await tree.terminate_child("b")
        assert [row["id"] for row in tree.which_children()] == ["a", "c"]
        await tree.terminate_child(pid)
        assert [(row["id"], row["state"]) for row in tree.which_children()] == [("a", "stopped"), ("c", "running")]
        assert await tree.restart_child("a") == running.runtime.processes.lookup("the-a")
        await tree.terminate_child("a")
        await tree.delete_child("a")
        with pytest.raises(LuaError, match="no child a of supervisor app:pool"):
            await tree.terminate_child("a")
        await running.supervisor.stop(POOL)
        with pytest.raises(LuaError, match="supervisor app:pool is not running"):
            await tree.start_child(spec("z"))


async def test_a_name_follows_its_child(opened: Any) -> None:
    async with opened(pool("[{id: a, process: worker, args: [a], name: clerk}]")) as (running, _notes):
        await trio.sleep(1)
        before = running.runtime.processes.lookup("clerk")
        running.send("clerk", "error")
        await trio.sleep(1)
        assert running.runtime.processes.lookup("clerk") not in {None, before}


async def test_children_that_fail_while_others_are_stopped_count_once(opened: Any) -> None:
    more = "strategy: one_for_all\n  max_restarts: 1"
    async with opened(pool(three("permanent"), more)) as (running, _notes):
        tree = tree_of(running)
        await trio.sleep(1)
        for pid in pids(tree).values():
            running.send(pid, "error")
        await trio.sleep(1)
        assert [row["restarts"] for row in tree.which_children()] == [1, 1, 1]
        assert tree.count_children()["active"] == 3


async def test_the_parent_of_a_child_is_its_supervisor(opened: Any) -> None:
    async with opened(pool("[{id: a, process: worker, args: [a]}]")) as (running, _notes):
        host = running.runtime.resources.get("app:host", ProcessHost)
        process = next(iter(host.processes.values()))
        assert process.parent == tree_of(running).pid
