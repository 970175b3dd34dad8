from __future__ import annotations

from typing import Any

import pytest
import trio

from sandbox.errors import LuaError
from sandbox.values import pack_list
from tests.conftest import entries_of
from tests.wippy_trio.workflows.kills import Node, host_of, outcome, start
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.actors.host import SpawnOptions
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import Change

WORLD = """
- name: processes
  kind: process.host
  lifecycle: { auto_start: true }
- name: add
  kind: function.lua
  source: "return function(a, b) return a + b end"
- name: fail
  kind: function.lua
  source: "return function() return nil, errors.new({ message = 'no', kind = 'NotFound', retryable = false }) end"
"""
MODULES = ("funcs", "time", "workflow")


@pytest.fixture
def world(app):
    def open_(source: str, *entries: Entry, **data: Any) -> Any:
        return app(WORLD, extra=[workflow_entry(source, MODULES, **data), *entries])

    return open_


def script(source: str) -> Entry:
    """A process whose main function has `source` as its body."""
    body = f"return function(...) {source}\nend"
    return Entry(EntryId("app", "script"), "process.lua", {}, {"source": body, "modules": ["time", "funcs"]})


async def execute(running: App, *args: Any, entry: str = "app:flow", **options: Any) -> Any:
    return await host_of(running).execute(EntryId.parse(entry), args, Frame(options=options), SpawnOptions())


async def test_it_calls_sleeps_and_returns(world):
    source = """
        local sum = funcs.call("app:add", ...)
        time.sleep("24h")
        return sum
    """
    async with world(source) as running:
        assert await execute(running, 2, 3) == 5


async def test_an_error(world):
    async with world("return funcs.call('app:fail')") as running:
        with pytest.raises(LuaError, match="no") as caught:
            await execute(running)
        assert (caught.value.kind, caught.value.retryable) == ("NotFound", False)


async def test_an_unknown_workflow(world):
    async with world("return 1") as running:
        with pytest.raises(LuaError, match="workflow not found: app:other"):
            await execute(running, entry="app:other")
        for ask in (
            host_of(running).signal("nobody", "go", b"\x90"),
            host_of(running).end("nobody"),
            host_of(running).request_cancel("nobody"),
            host_of(running).outcome("nobody"),
            host_of(running).query("nobody", "state"),
            host_of(running).update("nobody", "x", b"\x90", "u"),
        ):
            with pytest.raises(LuaError, match="workflow not found: nobody") as caught:
                await ask
            assert (caught.value.kind, caught.value.retryable) == ("NotFound", False)


async def test_processes_see_workflows_as_processes(world):
    source = """
        local msg = process.listen("ask", { message = true }):receive()
        process.send(msg:from(), "answer", msg:payload():data() + 1)
        local event = process.events():receive()
        return { event.kind, event.reason }
    """
    client = """
        local answers, events = process.listen("answer"), process.events()
        local pid = assert(process.spawn_monitored("app:flow", "wippy:workflows"))
        assert(process.send(pid, "ask", 41))
        local answer = answers:receive()
        assert(process.registry.register("flow", pid))
        assert(process.cancel("flow", "enough"))
        local exit = events:receive()
        local ended, err = process.send(pid, "ask", 1)
        return { answer, exit.kind, exit.from == pid, exit.result.value, err:kind() }
    """
    async with world(source, script(client)) as running:
        assert await running.run("app:script", "app:processes") == [
            42, "pid.exit", True, ["pid.cancel", "enough"], "NotFound",
        ]  # fmt: skip


async def test_a_closed_workflow_that_is_monitored_ends_at_once(world):
    client = """
        local pid = assert(process.spawn("app:flow", "wippy:workflows"))
        time.sleep("1s")
        assert(process.monitor(pid))
        local exit = process.events():receive()
        return { exit.kind, exit.result.value }
    """
    async with world("return 7", script(client)) as running:
        assert await running.run("app:script", "app:processes") == ["pid.exit", 7]


async def test_a_link_to_a_workflow_that_is_ended(world):
    client = """
        process.set_options({ trap_links = true })
        local pid = assert(process.spawn_linked("app:flow", "wippy:workflows"))
        assert(process.terminate(pid))
        local down = process.events():receive()
        return { down.kind, down.result.error:kind() }
    """
    async with world("process.inbox():receive()", script(client)) as running:
        assert await running.run("app:script", "app:processes") == ["pid.link.down", "Canceled"]


async def test_exec(world):
    async with world("return ... + 1", script("return process.exec('app:flow', 'wippy:workflows', 1)")) as running:
        assert await running.run("app:script", "app:processes") == 2


async def test_messages_arrive_in_order(world):
    source = """
        for i = 1, 20 do process.send("clerk", "n", i) end
        return true
    """
    client = """
        local inbox = process.listen("n")
        process.registry.register("clerk")
        process.spawn("app:flow", "wippy:workflows")
        local got = {}
        for i = 1, 20 do got[i] = inbox:receive() end
        return got
    """
    async with world(source, script(client)) as running:
        assert await running.run("app:script", "app:processes") == list(range(1, 21))


UPDATES = """
    local updates, sum = process.listen("add", { message = true }), 0
    while true do
      local msg = updates:receive()
      local n = msg:payload():data()
      if n < 0 then
        process.send(msg:from(), "nak", "negative")
      else
        process.send(msg:from(), "ack")
        if n == 0 then process.send(msg:from(), "error", "nothing to add") end
        sum = sum + n
        process.send(msg:from(), "ok", sum)
        workflow.expose("sum", sum)
        if n == 99 then return sum end
      end
    end
"""


async def test_updates_and_queries(world):
    async with world(UPDATES) as running:
        await start(running)
        host = host_of(running)
        assert await host.update("one", "add", pack_list([2]), "u1") == 2
        assert await host.update("one", "add", pack_list([2]), "u1") == 2  # asked twice, done once
        assert await host.query("one", "sum") == 2
        assert await host.query("one", "state") == {"sum": 2}
        with pytest.raises(LuaError, match="negative"):
            await host.update("one", "add", pack_list([-1]), "u2")
        with pytest.raises(LuaError, match="nothing to add"):
            await host.update("one", "add", pack_list([0]), "u3")
        assert await host.update("one", "add", pack_list([99]), "u4") == 101
        assert await host.query("one", "sum") == 101  # also when it has closed
        with pytest.raises(LuaError, match="unknown query type: other"):
            await host.query("one", "other")


async def test_an_update_that_is_not_answered_ends_with_its_workflow(world):
    async with world("process.listen('add'):receive() return 1") as running:
        await start(running)
        with pytest.raises(LuaError, match="workflow has closed"):
            await host_of(running).update("one", "add", b"\x90", "u1")


@pytest.fixture
def node(tmp_path, autojump_clock):
    def make(source: str, *entries: Entry) -> Node:
        every = [*entries_of(WORLD), workflow_entry(source, MODULES), *entries]
        return Node(every, str(tmp_path / "workflows.db"))

    return make


async def test_updates_are_remembered_over_restarts(node, monkeypatch):
    made = node(UPDATES)
    async with made.life(monkeypatch) as app:
        await start(app)
        assert await host_of(app).update("one", "add", pack_list([2]), "u1") == 2
    async with made.life(monkeypatch) as app:
        assert await host_of(app).query("one", "sum") == 2
        assert await host_of(app).update("one", "add", pack_list([2]), "u1") == 2
        assert await host_of(app).update("one", "add", pack_list([3]), "u2") == 5


async def test_pids_and_results_survive_a_restart(node, monkeypatch):
    made = node("time.sleep('1h') return process.pid()")
    async with made.life(monkeypatch) as app:
        pid = await start(app)
    async with made.life(monkeypatch) as app:
        assert await outcome(app) == pid
    async with made.life(monkeypatch) as app:
        assert await outcome(app) == pid


async def test_code_that_does_something_else_waits_until_it_is_put_right(node, monkeypatch):
    source = "time.sleep('1s') local n = process.listen('go'):receive() return n + funcs.call('app:add', 1, 2)"
    made = node(source)
    async with made.life(monkeypatch) as app:
        await start(app)
        await trio.sleep(2)
    made.entries = [*made.entries[:-1], workflow_entry(source.replace("1s", "2s"), MODULES)]
    async with made.life(monkeypatch) as app:
        await host_of(app).signal("one", "go", pack_list([10]))  # durable, though the code cannot be run
        run = next(iter(app.runtime.extras["workflows"].engine.runs.values()))
        assert "delay_ns was 1000000000 and is now 2000000000" in str(run.stuck)
        assert "app:flow:1" in str(run.stuck)
        await app.registry.apply([Change.update(workflow_entry(source, MODULES))])
        assert await outcome(app) == 13


async def test_a_write_that_fails_stops_the_engine(node, monkeypatch):
    made = node("local n = process.listen('go'):receive() return n")
    async with made.life(monkeypatch) as app:
        await start(app)
        store = made.frozen._history._store
        store._db.execute("CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'disk I/O'); END")
        for _ in range(2):
            with pytest.raises(LuaError, match="cannot be written") as caught:
                await host_of(app).signal("one", "go", pack_list([1]))
            assert caught.value.retryable is False
        with pytest.raises(LuaError, match="cannot be written"):
            await start(app, name="two")
        store._db.execute("DROP TRIGGER broken")
    async with made.life(monkeypatch) as app:  # what was acknowledged is there, what was refused is not
        await host_of(app).signal("one", "go", pack_list([2]))
        assert await outcome(app) == 2


async def test_two_nodes_cannot_have_one_file(node, monkeypatch):
    made = node("return 1")
    async with made.life(monkeypatch):
        with pytest.raises(LuaError, match="another node has it open"):
            async with made.life(monkeypatch):
                pass
