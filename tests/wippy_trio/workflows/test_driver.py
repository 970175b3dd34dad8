"""What may go wrong between an event and its record, and what a run survives."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from sandbox.errors import LuaError
from sandbox.values import pack_list
from sandbox.vm import LupaError
from tests.conftest import entries_of
from tests.wippy_trio.workflows.kills import Node, host_of, outcome, start
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.app.app import App
from wippy_trio.core.errors import ConflictError
from wippy_trio.workflows.embedded import Embedded
from wippy_trio.workflows.history import RunQuery
from wippy_trio.workflows.live import LiveRun

WORLD = """
- name: add
  kind: function.lua
  source: "return function(a, b) return a + b end"
- name: math
  kind: contract.definition
  methods:
    - name: add
- name: adder
  kind: contract.binding
  contracts:
    - contract: math
      default: true
      methods:
        add: add
- name: nothing
  kind: security.policy
  policy: { actions: "*", resources: "*", effect: deny }
"""
MODULES = ("funcs", "time", "workflow", "contract")


def engine_of(app: App) -> Embedded:
    found: Embedded = app.runtime.extras["workflows"].engine
    return found


def only_run(app: App) -> LiveRun:
    (run,) = engine_of(app).runs.values()
    return run


@pytest.fixture
def world(app):
    def open_(source: str, **settings: Any) -> Any:
        return app(WORLD, extra=[workflow_entry(source, MODULES)], settings={"workflows": settings})

    return open_


async def test_a_vm_that_fails_costs_no_workflow(world):
    source = "local sum = 0 for i = 1, 3 do sum = sum + process.listen('n'):receive() end return sum"
    async with world(source) as app:
        for name in ("a", "b"):
            await start(app, name=name)
        shard = engine_of(app).driver._shard
        for n in (1, 2, 3):
            for name in ("a", "b"):
                await host_of(app).signal(name, "n", pack_list([n]))
            shard._collapse(LupaError("not enough memory"))
        assert (await outcome(app, "a"), await outcome(app, "b")) == (6, 6)


async def test_a_vm_that_fails_under_an_event(world, monkeypatch):
    async with world("return process.listen('n'):receive()") as app:
        await start(app)
        shard = engine_of(app).driver._shard
        turn, failures = type(shard).turn, iter([True, True, False])

        def failing(own: Any) -> bool:
            if next(failures, False):
                own._collapse(LupaError("not enough memory"))
                return False
            return turn(own)

        monkeypatch.setattr(type(shard), "turn", failing)
        await host_of(app).signal("one", "n", pack_list([5]))
        assert await outcome(app) == 5
        assert len(await engine_of(app).history.load(only_id(app))) == 3


def only_id(app: App) -> str:
    history: Any = engine_of(app).history
    (row,) = history._store._db.execute("SELECT run_id FROM runs")
    return str(row[0])


async def test_a_run_is_made_again_before_each_event(world):
    source = """
        local sum, caller = 0, contract.open("app:adder")
        for i = 1, 3 do sum = caller:add(sum, i) time.sleep("1m") end
        return sum + process.listen("n"):receive()
    """
    async with world(source) as app:
        await start(app)
        for _ in range(8):
            await trio.sleep(30)
            engine_of(app).driver.evict(only_run(app))
        await host_of(app).signal("one", "n", pack_list([10]))
        assert await outcome(app) == 16


async def test_a_question_and_an_event_make_one_machine(world):
    async with world("workflow.expose('a', 1) return process.listen('n'):receive()") as app:
        await start(app)
        engine_of(app).driver.evict(only_run(app))
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await host_of(app).query("one", "a"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
            nursery.start_soon(host_of(app).signal, "one", "n", pack_list([3]))
        assert answers == [1] * 5
        assert await outcome(app) == 3
        assert not engine_of(app).driver._shard.actors  # none was left behind


async def test_code_that_is_gone_is_waited_for(tmp_path, autojump_clock, monkeypatch):
    flow = workflow_entry("time.sleep('1s') return process.listen('n'):receive()", MODULES)
    other = workflow_entry("return 1", (), "other")
    node = Node([*entries_of(WORLD), flow, other], str(tmp_path / "w.db"))
    async with node.life(monkeypatch) as app:
        await start(app)
    node.entries = [other]
    async with node.life(monkeypatch) as app:
        await trio.sleep(5)
        assert "app:flow" in str(only_run(app).stuck)
        await host_of(app).signal("one", "n", pack_list([1]))
    node.entries = [flow]
    async with node.life(monkeypatch) as app:
        assert await outcome(app) == 1


async def test_what_waits_in_the_history_keeps_its_order(tmp_path, autojump_clock, monkeypatch):
    source = "local got, ch = {}, process.listen('n') for i = 1, 5 do got[i] = ch:receive() end return got"
    flow = workflow_entry(source, MODULES)
    node = Node([flow], str(tmp_path / "w.db"))
    async with node.life(monkeypatch) as app:
        await start(app)
        await host_of(app).signal("one", "n", pack_list([1]))
    node.entries = [workflow_entry("time.sleep(1)" + source, MODULES)]
    async with node.life(monkeypatch) as app:
        for n in (2, 3, 4):
            await host_of(app).signal("one", "n", pack_list([n]))
    node.entries = [flow]
    async with node.life(monkeypatch) as app:
        await host_of(app).signal("one", "n", pack_list([5]))
        assert await outcome(app) == [1, 2, 3, 4, 5]


async def test_a_run_that_cannot_go_on_can_be_ended(tmp_path, autojump_clock, monkeypatch):
    node = Node([workflow_entry("time.sleep('1h')", MODULES)], str(tmp_path / "w.db"))
    async with node.life(monkeypatch) as app:
        await start(app)
    node.entries = [workflow_entry("time.sleep('2h')", MODULES)]
    async with node.life(monkeypatch) as app:
        await host_of(app).signal("one", "n", pack_list([1]))
        await host_of(app).end("one", "enough")
        assert str(await outcome(app)) == "Canceled: workflow terminated"


async def test_an_inbox_has_an_end(world):
    async with world("process.listen('n'):receive() time.sleep('1h')", inbox=3) as app:
        await start(app)
        run = only_run(app)
        run.working = True  # as if a write took long
        refused: list[str] = []

        async def send() -> None:
            try:
                await host_of(app).signal("one", "n", pack_list([1]))
            except LuaError as problem:
                refused.append(f"{problem.kind} {problem.retryable}")

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(send)
            await trio.sleep(1)
            run.working = False
            await engine_of(app).driver.work(run)
        assert refused == ["RateLimited True"] * 2


async def test_a_policy_counts_in_a_workflow(world):
    from wippy_trio.actors.host import SpawnOptions
    from wippy_trio.core.frame import Frame, SecurityActor
    from wippy_trio.core.ids import EntryId
    from wippy_trio.security.scope import policies_of

    source = """
        local refused = {}
        local function try(ok, err)
          refused[#refused + 1] = not ok and err:kind() == "PermissionDenied" and tostring(err) or "allowed"
        end
        try(funcs.call("app:add", 1, 2))
        try(process.send("{local@app:host|x}", "topic"))
        try(process.spawn("app:flow", "wippy:workflows"))
        try(process.spawn_monitored("app:flow", "wippy:workflows"))
        try(process.exec("app:flow", "wippy:workflows"))
        try(workflow.exec("app:flow"))
        try(process.cancel("{local@wippy:workflows|x}"))
        try(process.terminate("{local@wippy:workflows|x}"))
        time.sleep("1s")
        return refused
    """
    async with world(source) as app:
        scope = policies_of(app.runtime.extras).resolve([EntryId("app", "nothing")], ())[0]
        frame = Frame(actor=SecurityActor("me"), scope=scope)
        await host_of(app).spawn(EntryId("app", "flow"), (), frame, SpawnOptions(name="one"))
        engine_of(app).driver.evict(only_run(app))
        assert await outcome(app) == [
            "not allowed to call function: app:add",
            "not allowed to send to: {local@app:host|x}",
            "not allowed to spawn process: app:flow",
            "not allowed to spawn monitored process: app:flow",
            "not allowed to execute process: app:flow",
            "not allowed: app:flow",
            "not allowed to cancel: {local@wippy:workflows|x}",
            "not allowed to terminate: {local@wippy:workflows|x}",
        ]


async def test_closed_runs_are_kept_for_a_time(tmp_path, autojump_clock, monkeypatch):
    node = Node([workflow_entry("if ... then time.sleep('9000h') end", MODULES)], str(tmp_path / "w.db"))
    async with node.life(monkeypatch) as app:
        for name in ("a", "b"):
            await start(app, name=name)
            await outcome(app, name)
        await start(app, True, name="c")
        await trio.sleep(721 * 3_600)
        await start(app, name="d")
        await engine_of(app).keeper.purge()
        found = await engine_of(app).history.find(RunQuery())
        assert sorted(info.workflow_id for info in found) == ["c", "d"]


async def test_a_clock_that_is_set_back_loses_no_timer(world):
    async with world("time.sleep('1h') return time.now():unix()") as app:
        clock: Any = app.runtime.environment.clock
        began_s = clock.wall_ns() // 1_000_000_000
        await start(app)
        await trio.sleep(60)
        clock.jump(-1_800 * 1_000_000_000)
        assert await outcome(app) >= began_s + 3_600


async def test_of_two_nodes_that_start_one_name_one_does(world, monkeypatch):
    async with world("return process.listen('n'):receive()") as app:
        driver = engine_of(app).driver
        begin, calls = driver.begin, []

        async def beaten(*args: Any) -> Any:
            calls.append(args)
            if len(calls) == 1:
                monkeypatch.setattr(driver, "begin", begin)
                await start(app, entry="app:flow", name="other")  # takes its turn meanwhile
                raise ConflictError("workflow already started")
            return await begin(*args)

        monkeypatch.setattr(driver, "begin", beaten)
        await start(app)
        await host_of(app).signal("one", "n", pack_list([4]))
        assert await outcome(app) == 4


async def test_no_attempts_without_a_history(tmp_path, autojump_clock, monkeypatch):
    unlucky = entries_of(
        """
        - name: unlucky
          kind: function.lua
          source: "return function() return nil, errors.new({ message = 'again', kind = 'Unavailable' }) end"
        """
    )
    node = Node([*unlucky, workflow_entry("return funcs.call('app:unlucky')", MODULES)], str(tmp_path / "w.db"))
    async with node.life(monkeypatch) as app:
        await start(app)
        await trio.sleep(5)
        before = node.effects["app:unlucky"]
        history: Any = engine_of(app).history
        history._history._store._db.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON pending BEGIN SELECT RAISE(FAIL, 'disk I/O'); END"
        )
        await trio.sleep(3_600)
        assert before >= 2
        assert node.effects["app:unlucky"] <= before + 1  # the one that was due when nobody knew yet
