"""Start options and activity options on the embedded engine. Source: docs temporal/workflows, temporal/activities."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from sandbox.errors import LuaError
from tests.wippy_trio.workflows.kills import host_of
from tests.wippy_trio.workflows.machines import workflow_entry
from wippy_trio.actors.host import SpawnOptions
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.history import RunQuery

WORLD = """
- name: add
  kind: function.lua
  source: "return function(a, b) return a + b end"
- name: unlucky
  kind: function.lua
  source: "return function() return nil, errors.new({ message = 'again', kind = 'Unavailable' }) end"
- name: crash
  kind: function.lua
  source: "return function() error('broken') end"
- name: slow
  kind: function.lua
  modules: [time]
  source: "return function(d) time.sleep(d) return 'slept' end"
- name: who
  kind: function.lua
  modules: [ctx]
  source: "return function() return ctx.all() end"
"""
MODULES = ("funcs", "time", "workflow", "ctx")


@pytest.fixture
def world(app):
    def open_(source: str, *entries: Entry, settings: Any = None) -> Any:
        return app(WORLD, extra=[workflow_entry(source, MODULES), *entries], settings=settings)

    return open_


async def spawn(app: App, *args: Any, name: str = "", messages: Any = (), **options: Any) -> str:
    given = {f"temporal.workflow.{key}": value for key, value in options.items()}
    frame = Frame(options=given, values={"tenant": "t1"})
    return await host_of(app).spawn(EntryId("app", "flow"), args, frame, SpawnOptions(name=name, messages=messages))


def unique(pid: str) -> str:
    return pid[1:-1].rpartition("|")[2]


async def end(app: App, pid: str) -> Any:
    try:
        return await host_of(app).outcome(unique(pid))
    except LuaError as problem:
        return problem


async def runs(app: App) -> list[str]:
    engine = app.runtime.extras["workflows"].engine
    return [info.status for info in await engine.history.find(RunQuery())][::-1]


# ids ------------------------------------------------------------------------------------------
async def test_a_name_that_runs_is_joined(world):
    async with world("return process.listen('go'):receive()") as app:
        one = await spawn(app, name="a")
        two = await spawn(app, name="a", messages=[("go", [5])])
        assert one == two == "{local@wippy:workflows|a}"
        assert await end(app, one) == 5


@pytest.mark.parametrize("options", [{"id_conflict_policy": "fail"}, {"execution_error_when_already_started": True}])
async def test_a_name_that_runs_can_be_an_error(world, options):
    async with world("process.inbox():receive()") as app:
        await spawn(app, id="a")
        with pytest.raises(LuaError, match="workflow already started: a") as caught:
            await spawn(app, id="a", **options)
        assert caught.value.kind == "AlreadyExists"


async def test_a_name_that_runs_can_be_ended(world):
    async with world("return process.inbox():receive():topic()") as app:
        await spawn(app, id="a")
        pid = await spawn(app, id="a", id_conflict_policy="terminate_existing", messages=[])
        await host_of(app).signal("a", "go", b"\x90")
        assert await end(app, pid) == "go"
        assert await runs(app) == ["terminated", "completed"]


@pytest.mark.parametrize(
    ("policy", "fails", "again"),
    [
        ("allow_duplicate", False, True),
        ("reject_duplicate", False, False),
        ("allow_duplicate_failed_only", False, False),
        ("allow_duplicate_failed_only", True, True),
    ],
)
async def test_a_name_that_was_used(world, policy, fails, again):
    async with world("if ... then error('no') end return 1") as app:
        pid = await spawn(app, fails, id="a")
        await end(app, pid)
        if again:
            assert await spawn(app, False, id="a", id_reuse_policy=policy) == pid
        else:
            with pytest.raises(LuaError, match="already started"):
                await spawn(app, False, id="a", id_reuse_policy=policy)


@pytest.mark.parametrize(
    "options",
    [{"id_conflict_policy": "maybe"}, {"run_timeout": "soon"}, {"memo": 3}, {"unheard": 1}, {"cron_schedule": "x"}],
)
async def test_malformed_options(world, options):
    async with world("return 1") as app:
        with pytest.raises(LuaError) as caught:
            await spawn(app, **options)
        assert caught.value.kind == "Invalid"


# time ------------------------------------------------------------------------------------------
async def test_limits_of_a_run_and_of_all(world):
    async with world("time.sleep('10h')") as app:
        for option, which in (("run_timeout", "run"), ("execution_timeout", "execution")):
            error = await end(app, await spawn(app, **{option: "1h"}))
            assert (error.kind, str(error)) == ("Timeout", f"workflow {which} timeout")


async def test_a_delayed_start(world):
    async with world("return { os.time(), process.inbox():receive():topic() }") as app:
        before = app.runtime.environment.clock.wall_ns() // 1_000_000_000
        pid = await spawn(app, start_delay="1h", messages=[("first", [])])
        at, topic = await end(app, pid)
        assert (at - before, topic) == (3600, "first")


async def test_a_delayed_start_can_be_ended_before(world):
    async with world("return 1") as app:
        pid = await spawn(app, name="a", start_delay="1h")
        await host_of(app).end("a")
        assert (await end(app, pid)).kind == "Canceled"


async def test_a_failed_run_is_tried_again(world):
    source = (
        "if workflow.info().attempt < 3 then error(errors.new({ message = 'no', kind = 'Unavailable' })) end return 7"
    )
    async with world(source) as app:
        assert await end(app, await spawn(app, retry_policy={"maximum_attempts": 5})) == 7
        assert await runs(app) == ["failed", "failed", "completed"]


async def test_a_schedule(world):
    async with world("return os.date('!%H:%M')") as app:
        pid = await spawn(app, name="a", cron_schedule="30 */6 * * *")
        await trio.sleep(24 * 3600)
        await host_of(app).end("a")
        assert (await end(app, pid)).kind == "Canceled"
        assert await runs(app) == ["completed"] * 4 + ["terminated"]


async def test_no_one_waits_for_a_schedule_that_goes_on(world):
    async with world("return 1") as app:
        await spawn(app, name="a", cron_schedule="@every 1h", execution_timeout="150m")
        with trio.fail_after(24 * 3600):
            await end(app, "{x|a}")
        assert await runs(app) == ["completed", "completed"]


# children ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("policy", "child"), [("terminate", "terminated"), ("abandon", "open"), ("request_cancel", "completed")]
)
async def test_what_becomes_of_a_child(world, policy, child):
    other = workflow_entry("return process.events():receive().kind", (), "child")
    source = f"""
        process.with_options({{ ["temporal.workflow.parent_close_policy"] = "{policy}" }})
          :spawn("app:child", "wippy:workflows")
    """
    async with world(source, other) as app:
        await end(app, await spawn(app))
        await trio.sleep(1)
        assert sorted(await runs(app)) == sorted(["completed", child])


async def test_a_child_ends_when_its_parent_continues_as_new(world):
    other = workflow_entry("process.inbox():receive()", (), "child")
    source = """
        if ... then return "next" end
        process.spawn("app:child", "wippy:workflows")
        process.upgrade(nil, true)
    """
    async with world(source, other) as app:
        assert await end(app, await spawn(app)) == "next"
        await trio.sleep(1)
        assert sorted(await runs(app)) == ["completed", "continued", "terminated"]


# activities ------------------------------------------------------------------------------------------
CALL = """
    local options, name, arg = ...
    local result, err = funcs.new():with_options(options):call(name, arg)
    if err then return { err:kind(), tostring(err), tostring(err:retryable()), err:details() or false } end
    return result
"""


@pytest.mark.parametrize(
    ("options", "name", "arg", "expected"),
    [
        ({"activity.retry_policy": {"maximum_attempts": 2}}, "app:unlucky", None,
         ["Unavailable", "again", "nil", False]),
        ({"temporal.activity.retry_policy": {"non_retryable_error_types": ["Unavailable"]}}, "app:unlucky", None,
         ["Unavailable", "again", "nil", False]),
        ({"activity.retry_policy": {"maximum_attempts": 1}}, "app:missing", None,
         ["NotFound", "activity not found: app:missing", "true", False]),
        ({"activity.start_to_close_timeout": "1s", "activity.retry_policy": {"maximum_attempts": 2}}, "app:slow", "5s",
         ["Timeout", "activity start-to-close timeout", "false", {"timeout_type": "start_to_close"}]),
        ({"activity.schedule_to_close_timeout": "3s"}, "app:slow", "5s",
         ["Timeout", "activity schedule-to-close timeout", "false", {"timeout_type": "schedule_to_close"}]),
        ({"activity.schedule_to_close_timeout": "9s"}, "app:unlucky", None, ["Unavailable", "again", "nil", False]),
        ({}, "app:slow", "9m", "slept"),
    ],
)  # fmt: skip
async def test_options_of_activities(world, options, name, arg, expected):
    async with world(CALL) as app:
        assert await end(app, await spawn(app, options, name, arg)) == expected


async def test_a_crash_is_not_tried_again(world):
    async with world(CALL) as app:
        kind, text, retryable, _ = await end(app, await spawn(app, {}, "app:crash", None))
        assert (kind, retryable) == ("Internal", "false")
        assert "broken" in text


async def test_waits_between_attempts_grow(world):
    source = """
        local began = time.now()
        funcs.new():with_options({ ["activity.retry_policy"] = {
          maximum_attempts = 5, initial_interval = 1000, backoff_coefficient = 3, maximum_interval = 5000,
        } }):call("app:unlucky")
        return time.now():sub(began):seconds()
    """
    async with world(source) as app:
        assert await end(app, await spawn(app)) == 1 + 3 + 5 + 5


async def test_no_more_activities_at_once_than_allowed(world):
    source = """
        local began, futures = time.now(), {}
        for i = 1, 6 do futures[i] = funcs.async("app:slow", "1s") end
        for i = 1, 6 do futures[i]:await() end
        return time.now():sub(began):seconds()
    """
    async with world(source, settings={"workflows": {"activities": 2}}) as app:
        assert await end(app, await spawn(app)) == 3


async def test_a_cancelled_call_can_wait_for_its_end(world):
    source = """
        local future = funcs.new():with_options({ ["activity.wait_for_cancellation"] = true }):async("app:slow", "1h")
        time.sleep("1s")
        future:cancel()
        return time.now():unix_nano() > 0
    """
    async with world(source) as app:
        assert await end(app, await spawn(app)) is True


async def test_context_goes_on_to_activities(world):
    async with world("return { funcs.call('app:who'), ctx.get('tenant') }") as app:
        who, tenant = await end(app, await spawn(app))
        assert (who, tenant) == ({"tenant": "t1"}, "t1")


async def test_a_history_that_grows_too_long(world):
    async with world("while true do time.sleep(1) end", settings={"workflows": {"history_length": 50}}) as app:
        error = await end(app, await spawn(app))
        assert "history too long" in str(error)


async def test_machines_are_given_up_and_made_again(world):
    source = "local sum = 0 for i = 1, 4 do sum = funcs.call('app:add', sum, i) time.sleep('1s') end return sum"
    async with world(source, settings={"workflows": {"cache": 1}}) as app:
        pids = [await spawn(app) for _ in range(5)]
        assert [await end(app, pid) for pid in pids] == [10] * 5


async def test_messages_between_two_runs_reach_the_next(world):
    source = """
        local n, inbox = ..., process.inbox()
        local r = channel.select({ inbox:case_receive(), time.after("1s"):case_receive() })
        if r.channel == inbox then return { n or 0, r.value:topic() } end
        process.upgrade(nil, (n or 0) + 1)
    """
    async with world(source) as app:
        pid = await spawn(app, name="a")
        await trio.sleep(3.0)
        await host_of(app).signal("a", "go", b"\x90")
        n, topic = await end(app, pid)
        assert (topic, n in {2, 3}) == ("go", True)


async def test_messages_to_a_late_start_before_it(world):
    async with world("local got = {} for i = 1, 3 do got[i] = process.inbox():receive():topic() end return got") as app:
        pid = await spawn(app, name="a", start_delay="1h", messages=[("one", [])])
        await trio.sleep(60)
        await host_of(app).signal("a", "two", b"\x90")
        await trio.sleep(3_600)
        await host_of(app).signal("a", "three", b"\x90")
        assert await end(app, pid) == ["one", "two", "three"]
