from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from sandbox.values import pack_list, unpack
from tests.wippy_trio.workflows.machines import opener, started
from wippy_trio.workflows.wire import (
    ActivityResolved,
    CancelActivity,
    CancelExternal,
    CancelRequested,
    CancelTimer,
    ChildResolved,
    ChildStarted,
    Complete,
    Context,
    ContinueAsNew,
    ExternalResolved,
    Fail,
    Failure,
    RecordVersion,
    ScheduleActivity,
    SendMessage,
    SignalExternal,
    SignalReceived,
    StartChild,
    StartTimer,
    TerminateExternal,
    TimerFired,
    UpdateAccept,
    UpdateComplete,
    UpdateReceived,
    UpdateReject,
    UpsertAttributes,
)


@pytest.fixture
def opened(app):
    return opener(app)


def value(command):
    assert isinstance(command, Complete), command
    return unpack(command.result)[0]


async def test_an_activity_a_sleep_and_a_signal(opened):
    source = """
        local order = ...
        local paid, err = funcs.call("app:pay", order.total)
        if err then return nil, err end
        time.sleep("1h")
        local msg = process.inbox():receive()
        return { paid = paid, topic = msg:topic(), from = msg:from(), data = msg:payload():data() }
    """
    async with opened(source, ["funcs", "time"]) as run:
        assert run.tell(started({"total": 5})) == [ScheduleActivity(1, "app:pay", pack_list([5]))]
        assert run.tell(ActivityResolved(1, pack_list(["yes"])), 1) == [StartTimer(2, 3_600_000_000_000)]
        assert run.tell(SignalReceived("approve", pack_list([{"by": "me"}]), "{local@app:p|0x1}"), 2) == []
        (end,) = run.tell(TimerFired(2), 3601)
        assert value(end) == {
            "paid": "yes",
            "topic": "approve",
            "from": "{local@app:p|0x1}",
            "data": {"by": "me"},
        }


async def test_the_line_of_a_command(opened):
    async with opened("\n\n  funcs.call('app:pay')\n", ["funcs"]) as run:
        (command,) = run.tell(started())
        assert command.line == "app:flow:3"


async def test_time_is_the_record_s(opened):
    source = """
        local first = time.now():unix_nano()
        time.sleep(5)
        return { first, time.now():unix_nano(), os.time(), os.clock() }
    """
    async with opened(source, ["time"]) as run:
        run.tell(started())
        (end,) = run.tell(TimerFired(1), 10)
        first, second, now_s, clock_s = value(end)
        assert (second - first, now_s, clock_s) == (10_000_000_000, 1_767_225_610, 0.0)


async def test_randomness_is_the_seed_s(opened):
    source = """
        return { uuid.v4(), uuid.v7(), crypto.random.string(8), math.random(1000), math.random() }
    """
    async with opened(source, ["uuid", "crypto"]) as run:
        (end,) = run.tell(started())
        assert len(value(end)[2]) == 8


async def test_a_failed_activity_is_an_error_with_all_its_parts(opened):
    source = """
        local result, err = funcs.call("app:pay")
        return { result == nil, err:kind(), err:retryable(), err:message(), err:details().code }
    """
    async with opened(source, ["funcs"]) as run:
        run.tell(started())
        (end,) = run.tell(ActivityResolved(1, failure=Failure("no money", "Invalid", False, {"code": 7})))
        assert value(end) == [True, "Invalid", False, "no money", 7]


async def test_what_fails_the_workflow(opened):
    async with opened("error('boom')") as run:
        (end,) = run.tell(started())
        assert isinstance(end, Fail)
        assert end.failure.kind == "Internal"
        assert "boom" in end.failure.message
    async with opened("return nil, errors.new({ message = 'gone', kind = errors.NOT_FOUND })") as run:
        (end,) = run.tell(started())
        assert (end.failure.message, end.failure.kind) == ("gone", "NotFound")


async def test_tasks_and_channels_take_turns_as_ever(opened):
    source = """
        local out, done = {}, channel.new(3)
        for i = 1, 3 do
          coroutine.spawn(function()
            time.sleep(i)
            out[#out + 1] = i
            done:send(true)
          end)
        end
        for _ = 1, 3 do done:receive() end
        return out
    """
    async with opened(source, ["time"]) as run:
        assert run.tell(started()) == [StartTimer(1, 1), StartTimer(2, 2), StartTimer(3, 3)]
        run.tell(TimerFired(2))
        run.tell(TimerFired(3))
        (end,) = run.tell(TimerFired(1))
        assert value(end) == [2, 3, 1]


async def test_futures_and_their_cancellation(opened):
    source = """
        local slow = funcs.async("app:slow")
        local quick = funcs.async("app:quick")
        local got = quick:await()
        slow:cancel()
        local _, err = slow:result()
        return { got, tostring(err) }
    """
    async with opened(source, ["funcs"]) as run:
        run.tell(started())
        cancel, end = run.tell(ActivityResolved(2, pack_list(["now"])))
        assert cancel == CancelActivity(1)
        assert value(end) == ["now", "future was canceled"]
        assert run.tell(ActivityResolved(1)) == []


async def test_timers_can_be_stopped_and_tick(opened):
    source = """
        local timer = time.timer("1h")
        local ticker = time.ticker("1s")
        ticker:channel():receive()
        timer:stop()
        ticker:channel():receive()
        ticker:stop()
        return true
    """
    async with opened(source, ["time"]) as run:
        run.tell(started())
        assert run.tell(TimerFired(2), 1) == [StartTimer(3, 1_000_000_000), CancelTimer(1)]
        assert run.tell(TimerFired(3), 2)[:2] == [StartTimer(4, 1_000_000_000), CancelTimer(4)]


async def test_a_child_and_its_end(opened):
    source = """
        local events = process.events()
        local pid, err = process.spawn("app:child", "app:worker", 5)
        local event = events:receive()
        return { pid, event.kind, event.from, event.result.value }
    """
    async with opened(source) as run:
        (child,) = run.tell(started())
        assert child == StartChild(1, "run-1_1", "app:child", "app:worker", pack_list([5]))
        assert run.tell(ChildStarted(1, "{local@app:worker|run-1_1}")) == []
        (end,) = run.tell(ChildResolved(1, pack_list(["done"])))
        assert value(end) == ["{local@app:worker|run-1_1}", "pid.exit", "{local@app:worker|run-1_1}", "done"]


async def test_a_child_that_is_waited_for(opened):
    async with opened("return workflow.exec('app:child', 5)", ["workflow"]) as run:
        assert run.tell(started()) == [StartChild(1, "run-1_1", "app:child", "", pack_list([5]))]
        assert run.tell(ChildStarted(1, "{local@app:worker|run-1_1}")) == []
        (end,) = run.tell(ChildResolved(1, failure=Failure("no", "NotFound", False)))
        assert (end.failure.message, end.failure.kind, end.failure.retryable) == ("no", "NotFound", False)


async def test_where_messages_go(opened):
    source = """
        local to = ...
        local ok = {}
        for i = 1, #to do
          local sent, err = process.send(to[i], "hello", i)
          ok[i] = sent or err:kind()
        end
        return ok
    """
    to = [
        "{local@app:worker|other}",
        "node@app:worker|bare",
        "name",
        "{local@app:host|0x1}",
        "{local@app:worker|order-1}",
    ]
    async with opened(source) as run:
        assert run.tell(started(to)) == [SignalExternal(1, "other", "hello", pack_list([1]))]
        missing = ExternalResolved(1, Failure("workflow not found: other", "NotFound", False))
        assert run.tell(missing) == [SignalExternal(2, "bare", "hello", pack_list([2]))]
        *sent, end = run.tell(ExternalResolved(2))
        assert sent == [SendMessage(3, "name", "hello", pack_list([3])), SendMessage(4, to[3], "hello", pack_list([4]))]
        assert value(end) == ["NotFound", True, True, True, True]


async def test_others_are_cancelled_and_ended(opened):
    source = """
        process.cancel("{local@app:worker|a}", "enough")
        process.terminate("{local@app:worker|b}")
    """
    async with opened(source) as run:
        assert run.tell(started()) == [CancelExternal(1, "{local@app:worker|a}", "a", "enough")]
        assert run.tell(ExternalResolved(1)) == [TerminateExternal(2, "{local@app:worker|b}", "b")]


async def test_a_cancel_request_is_an_event(opened):
    async with opened("local e = process.events():receive() return { e.kind, e.reason }") as run:
        run.tell(started())
        (end,) = run.tell(CancelRequested("enough"))
        assert value(end) == ["pid.cancel", "enough"]


async def test_updates_are_answered(opened):
    source = """
        local ch = process.listen("add", { message = true })
        local sum = 0
        while true do
          local msg = ch:receive()
          local n = msg:payload():data()
          if n < 0 then process.send(msg:from(), "nak", "negative")
          else
            process.send(msg:from(), "ack")
            sum = sum + n
            if n == 0 then process.send(msg:from(), "error", "nothing") return sum end
            process.send(msg:from(), "ok", sum)
          end
        end
    """
    async with opened(source) as run:
        run.tell(started())
        accepted = [UpdateAccept("u1"), UpdateComplete("u1", pack_list([3]))]
        assert run.tell(UpdateReceived("u1", "add", pack_list([3]))) == accepted
        assert run.tell(UpdateReceived("u2", "add", pack_list([-1]))) == [
            UpdateReject("u2", Failure("negative", "Invalid"))
        ]
        accept, failed, end = run.tell(UpdateReceived("u3", "add", pack_list([0])))
        assert (accept, failed) == (UpdateAccept("u3"), UpdateComplete("u3", failure=Failure("nothing")))
        assert value(end) == 3


async def test_a_wrong_answer_to_an_update(opened):
    source = """
        local _, err = process.send("{update|nobody}", "ack")
        local msg = process.listen("add", { message = true }):receive()
        local _, early = process.send(msg:from(), "ok")
        local _, unknown = process.send(msg:from(), "maybe")
        return { err:kind(), tostring(early), tostring(unknown) }
    """
    async with opened(source) as run:
        run.tell(started())
        (end,) = run.tell(UpdateReceived("u1", "add"))
        assert value(end) == [
            "NotFound",
            "update not accepted (state: pending)",
            "unknown update response: maybe (expected ack/nak/ok/error)",
        ]


async def test_continue_as_new(opened):
    async with opened("process.upgrade(nil, 1, 2) error('never')") as run:
        assert run.tell(started()) == [ContinueAsNew("app:flow", pack_list([1, 2]))]
        assert run.tell(SignalReceived("late")) == []


async def test_facts_attributes_and_queries(opened):
    source = """
        workflow.attrs({ search = { status = "new" }, memo = { b = 1, a = 2 } })
        workflow.expose("step", "one")
        local info = workflow.info()
        process.inbox():receive()
        return { info.workflow_id, info.run_id, info.attempt, info.history_length, workflow.history_length() }
    """
    async with opened(source, ["workflow"]) as run:
        assert run.tell(started()) == [UpsertAttributes({"status": "new"}, {"a": 2, "b": 1})]
        machine = run.machine
        assert (machine.query("state"), machine.query("step"), machine.query("pid")) == (
            {"step": "one"},
            "one",
            "order-1",
        )
        assert machine.query("tasks") is not None
        with pytest.raises(LuaError, match="unknown query type: other"):
            machine.query("other")
        (end,) = run.tell(SignalReceived("go"))
        assert value(end) == ["order-1", "run-1", 1, 1, 2]


async def test_a_version_is_decided_once(opened):
    source = """
        local a, b = workflow.version("pay", 1, 3), workflow.version("pay", 1, 3)
        return { a, b }
    """
    async with opened(source, ["workflow"]) as run:
        record, end = run.tell(started())
        assert (record, value(end)) == (RecordVersion("pay", 3), [3, 3])
        run.said.clear()
        run.told.clear()  # a replay without the record is another story: the next test


async def test_a_context_goes_with_calls(opened):
    source = """
        local other = funcs.new():with_context({ trace = "t" })
        funcs.async("app:a")
        other:async("app:b")
        return ctx.get("user")
    """
    context = Context({"user": "me"})
    async with opened(source, ["funcs", "ctx"]) as run:
        own, other, end = run.tell(started(context=context))
        assert own.context is None
        assert other.context == Context({"trace": "t", "user": "me"})
        assert value(end) == "me"


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("process.link(process.pid())", []),
        ("process.monitor(process.pid())", []),
        ("process.registry.register('me')", []),
    ],
)
async def test_what_a_workflow_may_not_do_says_so(opened, code, modules):
    async with opened(f"local ok, err = {code} return {{ ok == nil, err:kind(), tostring(err) }}", modules) as run:
        (end,) = run.tell(started())
        refused, kind, text = value(end)
        assert (refused, kind) == (True, "Invalid")
        assert "not supported in workflow context" in text


async def test_an_endless_loop_ends_the_same_way_each_time(opened):
    async with opened("while true do end") as run:
        (end,) = run.tell(started())
        assert "CPU limit exceeded" in end.failure.message


@pytest.mark.parametrize("module", ["fs", "sql", "http_client", "env", "queue", "logger"])
async def test_a_module_that_is_not_fit_is_refused(opened, module):
    with pytest.raises(LuaError, match=f"module '{module}' cannot be used in a workflow"):
        async with opened("return 1", [module]):
            pass
