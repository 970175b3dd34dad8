"""Workflows and activities on a real Temporal server (spec system/workflows)."""

from __future__ import annotations

import json
import subprocess

import pytest
import trio

from sandbox.errors import LuaError
from sandbox.values import pack_list
from tests.wippy_trio.workflows.temporal_app import activity, function, lua_entry, queue, temporal_app, workflow
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import EMPTY_FRAME, Frame, SecurityActor

pytestmark = [pytest.mark.service, pytest.mark.slow]

FAILING = activity(
    "failing",
    """
    local how = ...
    if how == "crash" then error("it broke") end
    if how == "slow" then require("time").sleep("3s") end
    return nil, errors.new({ message = "no such thing", kind = how, retryable = false, details = { id = 7 } })
    """,
)
TELL = """
    local result, err = funcs.new():with_options(OPTIONS):call(...)
    if not err then return { value = result } end
    return { kind = err:kind(), message = err:message(), retryable = err:retryable(), details = err:details() }
"""


def telling(name: str, options: str) -> Entry:
    return workflow(name, "local funcs = require('funcs')" + TELL.replace("OPTIONS", options))


async def test_errors_of_activities(temporal_server) -> None:
    once = telling("once", '{ ["activity.retry_policy"] = { maximum_attempts = 1 } }')
    short = telling(
        "short", '{ ["activity.start_to_close_timeout"] = "1s", ["activity.retry_policy"] = {maximum_attempts = 1} }'
    )
    listed = telling("listed", '{ ["activity.retry_policy"] = { non_retryable_error_types = { "Conflict" } } }')
    async with temporal_app(temporal_server, FAILING, once, short, listed) as app:
        found = await app.execute("once", "app:failing", "NotFound")
        assert (found["kind"], found["message"], found["retryable"]) == ("NotFound", "no such thing", False)
        assert found["details"]["id"] == 7
        assert found["details"]["_wrapper"] == "activity"
        found = await app.execute("once", "app:failing", "crash")
        assert (found["kind"], "it broke" in found["message"]) == ("Internal", True)
        found = await app.execute("once", "app:missing")
        assert (found["kind"], found["retryable"]) == ("NotFound", True)
        found = await app.execute("short", "app:failing", "slow")
        assert (found["kind"], found["retryable"]) == ("Timeout", False)
        assert found["details"]["timeout_type"] == "start_to_close"
        found = await app.execute("listed", "app:failing", "Conflict")
        assert found["kind"] == "Conflict"


async def test_an_activity_is_tried_again(temporal_server) -> None:
    attempts = activity(
        "attempts",
        """
        seen = (seen or 0) + 1
        if seen < 3 then return nil, errors.new({ message = "not yet", kind = "Unavailable", retryable = true }) end
        return seen
        """,
    )
    retry = telling("retry", '{ ["activity.retry_policy"] = { initial_interval = 1, maximum_attempts = 5 } }')
    async with temporal_app(temporal_server, attempts, retry) as app:
        assert await app.execute("retry", "app:attempts") == {"value": 3}


async def test_context_and_identity_travel(temporal_server) -> None:
    body = """
        local ctx, security = require("ctx"), require("security")
        local actor = security.actor()
        return { user = ctx.get("user"), more = ctx.get("more"), actor = actor and actor:id() }
    """
    outer = workflow(
        "outer",
        """
        local funcs, ctx = require("funcs"), require("ctx")
        local inner, err = funcs.new():with_context({ more = "yes" }):call("app:who")
        if err then return nil, err end
        return { user = ctx.get("user"), inner = inner }
        """,
    )
    async with temporal_app(temporal_server, activity("who", body), outer) as app:
        frame = Frame(None, "", SecurityActor("alice", {"role": "admin"}), None, {"user": "u1"})
        found = await app.execute("outer", frame=frame)
        assert found == {"user": "u1", "inner": {"user": "u1", "more": "yes", "actor": "alice"}}


async def test_a_long_activity_heartbeats_and_a_cancelled_one_ends(temporal_server) -> None:
    steady = activity("steady", "require('time').sleep('2500ms') return 'done'")
    long = telling("long", '{ ["activity.heartbeat_timeout"] = "1s" }')
    cancelling = workflow(
        "cancelling",
        """
        local funcs, time = require("funcs"), require("time")
        local future = funcs.new():with_options({ ["activity.heartbeat_timeout"] = "1s" }):async("app:steady")
        time.sleep("10ms")
        future:cancel()
        return future:is_canceled()
        """,
    )
    async with temporal_app(temporal_server, steady, long, cancelling) as app:
        assert await app.execute("long", "app:steady") == {"value": "done"}
        assert await app.execute("cancelling") is True


async def test_a_process_is_an_activity(temporal_server) -> None:
    calling = telling("calling", "{}")
    async with temporal_app(
        temporal_server, activity("worker_process", "return { got = ... }", "process.lua"), calling
    ) as app:
        assert await app.execute("calling", "app:worker_process", 5) == {"value": {"got": 5}}


async def test_queries_and_updates(temporal_server) -> None:
    counter = workflow(
        "counter",
        """
        local workflow = require("workflow")
        local total, done = 0, false
        workflow.expose("total", total)
        local inbox = process.inbox()
        while not done do
          local msg = inbox:receive()
          local amount = msg:payload() and msg:payload():data()
          if msg:topic() == "finish" then
            done = true
          elseif msg:topic() ~= "add" or type(amount) ~= "number" then
            process.send(msg:from(), "nak", "not a number")
          else
            process.send(msg:from(), "ack")
            if amount < 0 then
              process.send(msg:from(), "error", "negative")
            else
              total = total + amount
              workflow.expose("total", total)
              process.send(msg:from(), "ok", { total = total })
            end
          end
        end
        return total
        """,
    )
    start = function("start", "return process.with_options({}):with_name(...):spawn('app:counter', 'app:worker')")
    async with temporal_app(temporal_server, counter, start) as app:
        pid = await app.call("start", "counter-1")
        assert pid == app.host.pid("counter-1")
        assert await app.host.query("counter-1", "total") == 0
        assert await app.host.update("counter-1", "add", pack_list([2]), "u1") == {"total": 2}
        assert await app.host.update("counter-1", "add", pack_list([2]), "u1") == {"total": 2}, "done once"
        with pytest.raises(LuaError, match="not a number"):
            await app.host.update("counter-1", "add", pack_list(["x"]), "u2")
        with pytest.raises(LuaError, match="negative"):
            await app.host.update("counter-1", "add", pack_list([-1]), "u3")
        assert await app.host.query("counter-1", "state") == {"total": 2}
        assert await app.host.query("counter-1", "pid") == "counter-1"
        with pytest.raises(LuaError, match="unknown query type: nonsense"):
            await app.host.query("counter-1", "nonsense")
        await app.host.signal("counter-1", "finish", pack_list([]))
        assert await app.host.outcome("counter-1") == 2


async def test_children(temporal_server) -> None:
    parent = workflow(
        "parent",
        """
        local workflow = require("workflow")
        local direct, err = workflow.exec("app:child", "direct")
        local _, failed = process.exec("app:child", "app:worker", "fail")
        local pid = process.with_options({}):with_message("go", "hello"):spawn("app:child", "app:worker", "wait")
        local event = process.events():receive()
        return { direct = direct, kind = failed:kind(), pid = pid, from = event.from, value = event.result.value }
        """,
    )
    child = workflow(
        "child",
        """
        local how = ...
        if how == "fail" then return nil, errors.new({ message = "no", kind = "Conflict" }) end
        if how == "wait" then return { heard = process.inbox():receive():payload():data() } end
        return { how = how }
        """,
    )
    async with temporal_app(temporal_server, parent, child) as app:
        found = await app.execute("parent")
        assert (found["direct"], found["kind"], found["value"]) == ({"how": "direct"}, "Conflict", {"heard": "hello"})
        assert found["pid"] == found["from"]


async def test_continue_as_new_and_facts(temporal_server) -> None:
    body = """
        local workflow, n = require("workflow"), ...
        local info = workflow.info()
        if n < 3 then process.upgrade(nil, n + 1) end
        return { n = n, type = info.workflow_type, namespace = info.namespace, attempt = info.attempt,
                 same = info.run_id ~= "" , long = info.history_length > 0, size = info.history_size > 0 }
    """
    async with temporal_app(temporal_server, workflow("again", body)) as app:
        found = await app.execute("again", 1)
        assert found == {
            "n": 3, "type": "app:again", "namespace": "default", "attempt": 1, "same": True, "long": True, "size": True,
        }  # fmt: skip


async def test_a_workflow_survives_its_worker_and_versions_hold(temporal_server) -> None:
    def versioned(highest: int) -> Entry:
        return workflow(
            "versioned",
            f"""
            local workflow, time = require("workflow"), require("time")
            local first = workflow.version("change", 1, {highest})
            local inbox = process.inbox()
            inbox:receive()
            local again, later = workflow.version("change", 1, {highest}), workflow.version("new", 1, 2)
            return {{ first = first, again = again, later = later }}
            """,
        )

    start = function(
        "start", "return process.with_options({}):with_name('versioned'):spawn('app:versioned', 'app:worker')"
    )
    name = queue()
    async with temporal_app(temporal_server, versioned(1), start, name=name) as app:
        await app.call("start")
        assert await app.host.query("versioned", "pid") == "versioned"  # it has done its first step
    async with temporal_app(temporal_server, versioned(2), start, name=name) as app:
        await app.host.signal("versioned", "go", pack_list([]))
        assert await app.host.outcome("versioned") == {"first": 1, "again": 1, "later": 2}


async def test_start_options_and_attributes(temporal_server) -> None:
    attributed = workflow(
        "attributed",
        """
        local workflow = require("workflow")
        workflow.attrs({ search = { WippyText = "later" }, memo = { note = "b" } })
        return true
        """,
    )
    start = function(
        "start",
        """
        return process.with_options({
          ["temporal.workflow.id"] = "attributed",
          ["temporal.workflow.execution_timeout"] = "1h",
          ["temporal.workflow.run_timeout"] = 60000,
          ["temporal.workflow.search_attributes"] = { WippyText = "first", WippyCount = 5 },
          ["temporal.workflow.memo"] = { note = "a", kept = 1 },
          ["temporal.workflow.retry_policy"] = { maximum_attempts = 2 },
          ["temporal.workflow.summary"] = "a summary",
        }):spawn("app:attributed", "app:worker")
        """,
    )
    async with temporal_app(temporal_server, attributed, start) as app:
        await app.call("start")
        assert await app.host.outcome("attributed") is True
        told = json.loads(temporal_server.command("workflow", "describe", "-w", "attributed", "-o", "json"))
        info = told["workflowExecutionInfo"]
        assert info["type"]["name"] == "app:attributed"
        assert info["memo"]["fields"] == {"note": "b", "kept": 1}
        assert told["executionConfig"]["workflowExecutionTimeout"] == "3600s"
        assert told["executionConfig"]["workflowRunTimeout"] == "60s"


POLICY = """
    local id, policy, error_when = ...
    local options = { ["temporal.workflow.id"] = id, ["temporal.workflow.id_conflict_policy"] = policy or nil,
                      ["temporal.workflow.execution_error_when_already_started"] = error_when or nil }
    return process.with_options(options):spawn("app:waiting", "app:worker")
"""
WAITING = workflow("waiting", "return process.inbox():receive():payload():data()")


async def test_conflicts_of_ids(temporal_server) -> None:
    async with temporal_app(temporal_server, WAITING, function("start", POLICY)) as app:
        pid = await app.call("start", "waiting-1", False, False)
        assert await app.call("start", "waiting-1", "use_existing", False) == pid
        for policy, error_when in (("fail", False), (False, True)):
            with pytest.raises(LuaError) as caught:
                await app.call("start", "waiting-1", policy, error_when)
            assert caught.value.kind == "AlreadyExists"
        assert await app.call("start", "waiting-1", "terminate_existing", False) == pid
        await app.host.signal("waiting-1", "x", pack_list([5]))
        assert await app.host.outcome("waiting-1") == 5


async def test_watching_cancelling_and_ending(temporal_server) -> None:
    obedient = workflow(
        "obedient",
        """
        local event = process.events():receive()
        return { kind = event.kind, reason = event.reason }
        """,
    )
    watching = function(
        "watching",
        """
        local time, seen = require("time"), {}
        local events = process.events()
        local pid = process.spawn_monitored("app:obedient", "app:worker")
        process.cancel(pid, "enough")
        seen.canceled = events:receive().result.value
        assert(process.monitor(pid))  -- it has closed
        seen.closed = events:receive().result.value
        local other = process.spawn_monitored("app:waiting", "app:worker")
        assert(process.terminate(other))
        local ended = events:receive().result.error
        seen.kind, seen.message = ended:kind(), ended:message()
        local _, err = process.send(other, "x")
        seen.gone = err:kind()
        return seen
        """,
    )
    async with temporal_app(temporal_server, obedient, WAITING, watching) as app:
        found = await app.call("watching")
        assert found["canceled"]["kind"] == "pid.cancel"
        assert found["closed"] == found["canceled"]
        assert (found["kind"], found["message"], found["gone"]) == ("Canceled", "workflow terminated", "NotFound")


async def test_an_unknown_workflow_does_not_fail(temporal_server) -> None:
    """A worker without the code fails the task, and a later one with it goes on."""
    name = queue()
    start = function(
        "start",
        """
        local options = { ["temporal.workflow.id"] = "late", ["temporal.workflow.task_timeout"] = "1s" }
        return process.with_options(options):spawn("app:late", "app:worker", 3)
        """,
    )
    async with temporal_app(temporal_server, start, name=name) as app:
        await app.call("start")
        await trio.sleep(0.1)
    async with temporal_app(temporal_server, workflow("late", "return ... + 1"), name=name) as app:
        with trio.fail_after(20):
            assert await app.host.outcome("late") == 4


async def test_what_no_worker_can_say_fails_the_workflow(temporal_server) -> None:
    async with temporal_app(temporal_server, workflow("mixed", "return { 1, 2, x = 3 }")) as app:
        with pytest.raises(LuaError, match="mixed"):
            await app.execute("mixed", frame=EMPTY_FRAME)


async def test_versioned_workers(temporal_server) -> None:
    """A deployment's current version gets the runs; a pinned run stays with the version it began on."""

    def options(build: str) -> str:
        return (
            f"{{use_versioning: true, deployment_name: shop, build_id: '{build}', default_versioning_behavior: pinned}}"
        )

    def pinned(text: str) -> Entry:
        return workflow("pinned", f"process.inbox():receive() return '{text}'")

    current = ["worker", "deployment", "set-current-version", "--deployment-name", "shop", "--yes", "--build-id"]
    name = queue()
    start = function("start", "return process.with_options({}):with_name(...):spawn('app:pinned', 'app:worker')")
    async with temporal_app(temporal_server, pinned("old"), start, name=name, options=options("1")) as old:
        with trio.fail_after(10):
            while True:  # the server knows a version some time after its worker has begun to poll
                try:
                    temporal_server.command(*current, "1")
                    break
                except subprocess.CalledProcessError:
                    await trio.sleep(0.1)
        await old.call("start", "first")
        assert await old.host.query("first", "pid") == "first"
        async with temporal_app(temporal_server, pinned("new"), start, name=name, options=options("2")) as new:
            with trio.fail_after(10):
                while True:
                    try:
                        temporal_server.command(*current, "2")
                        break
                    except subprocess.CalledProcessError:
                        await trio.sleep(0.1)
            await new.call("start", "second")
            for workflow_id in ("first", "second"):
                await new.host.signal(workflow_id, "go", pack_list([]))
            assert await new.host.outcome("first") == "old"
            assert await new.host.outcome("second") == "new"


async def test_from_python(temporal_server) -> None:
    async with temporal_app(temporal_server, WAITING) as app:
        frame = Frame(options={"temporal.workflow.id": "python-1"})
        pid = await app.app.spawn("app:waiting", "app:worker", frame=frame)
        assert pid == app.host.pid("python-1")
        app.app.send(pid, "x", 7)
        assert await app.host.outcome("python-1") == 7


async def test_workflows_direct_others(temporal_server) -> None:
    obedient = workflow("obedient", "local e = process.events():receive() return { kind = e.kind, reason = e.reason }")
    directing = workflow(
        "directing",
        """
        local told = ...
        local seen = {}
        seen.canceled = { process.cancel(told.obedient, "enough") }
        seen.ended = { process.terminate(told.waiting) }
        seen.process = { process.cancel(told.process, "you too") }
        seen.killed = { process.terminate(told.other) }
        local _, err = process.terminate(told.gone)
        seen.gone = err:kind()
        local _, missing = process.cancel("{app:client@app:worker|nobody}")
        seen.missing = missing:kind()
        return seen
        """,
    )
    patient = lua_entry("patient", "process.lua", "local e = process.events():receive() return { e.kind, e.reason }")
    start = function(
        "start",
        """
        local events = process.events()
        local told = {
          obedient = process.spawn_monitored("app:obedient", "app:worker"),
          waiting = process.spawn_monitored("app:waiting", "app:worker"),
          process = process.spawn_monitored("app:patient", "app:processes"),
          other = process.spawn_monitored("app:patient", "app:processes"),
          gone = "{local@app:processes|0x7fff}",
        }
        local seen, err = process.exec("app:directing", "app:worker", told)
        if err then return nil, err end
        local ends, names = {}, {}
        for name, pid in pairs(told) do names[pid] = name end
        for _ = 1, 4 do
          local event = events:receive()
          local failed = event.result.error
          ends[names[event.from]] = failed and failed:kind() or event.result.value
        end
        return { seen = seen, ends = ends }
        """,
    )
    async with temporal_app(temporal_server, obedient, WAITING, directing, patient, start) as app:
        found = await app.call("start")
        for name in ("canceled", "ended", "process", "killed"):
            assert found["seen"][name] == [True], name
        assert (found["seen"]["gone"], found["seen"]["missing"]) == ("NotFound", "NotFound")
        ends = found["ends"]
        assert ends["obedient"]["kind"] == "pid.cancel"
        assert (ends["waiting"], ends["process"], ends["other"]) == ("Canceled", ["pid.cancel", "you too"], "Canceled")


async def test_an_activity_that_is_waited_for_after_its_cancellation(temporal_server) -> None:
    slow = activity("slow", "require('time').sleep('30s') return 'late'")
    waiting = workflow(
        "polite",
        """
        local funcs, time = require("funcs"), require("time")
        local options = { ["activity.heartbeat_timeout"] = "1s", ["activity.wait_for_cancellation"] = true }
        local began = time.now()
        local future = funcs.new():with_options(options):async("app:slow")
        time.sleep("1s")
        future:cancel()
        local _, err = future:await("20s")
        return { kind = err and err:kind() or "none", quick = time.now():sub(began):seconds() < 15 }
        """,
    )
    async with temporal_app(temporal_server, slow, waiting) as app:
        found = await app.execute("polite")
        assert found["quick"]


async def test_a_loop_without_end_fails_its_workflow_only(temporal_server) -> None:
    endless, fine = workflow("endless", "while true do end"), workflow("fine", "return 1")
    async with temporal_app(temporal_server, endless, fine) as app:
        with pytest.raises(LuaError, match="limit"):
            await app.execute("endless")
        assert await app.execute("fine") == 1
