"""Random workflows, told random things: replayed they want the same, alone or beside others in one VM."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sandbox.values import pack_list, unpack
from tests.wippy_trio.workflows.machines import START_NS, new_machine, started, workflow_entry
from wippy_trio.workflows.machine import WorkflowMachine
from wippy_trio.workflows.wire import (
    ActivityResolved,
    CancelRequested,
    ChildResolved,
    ChildStarted,
    Command,
    Complete,
    Event,
    ExternalResolved,
    Failure,
    PatchKnown,
    RecordVersion,
    ScheduleActivity,
    SignalExternal,
    SignalReceived,
    StartChild,
    StartTimer,
    TimerFired,
)

# A workflow that is led by its argument: a list of what each of its tasks does, one after the other.
SOURCE = """
local plans = ...
local log, done = {}, channel.new(#plans)
local inbox, events = process.inbox(), process.events()
local does = {
  sleep = function(n) time.sleep(n * time.SECOND) return "slept" end,
  call = function(n)
    local r, err = funcs.call("app:f" .. n, { n = n, at = time.now():unix(), text = tostring({}) })
    return err and err:kind() or r
  end,
  late = function(n)
    local future, clock = funcs.async("app:slow", n), time.after(n * time.SECOND)
    local r = channel.select({ future:response():case_receive(), clock:case_receive() })
    if r.channel == clock then future:cancel() return "late" end
    return "in time"
  end,
  tick = function(n)
    local ticker = time.ticker("1s")
    for _ = 1, n do ticker:response():receive() end
    ticker:stop()
    return "ticked"
  end,
  draw = function(n) return { uuid.v4(), math.random(n), crypto.random.string(n), tostring({}) } end,
  hear = function() local m = inbox:receive() return m:topic() .. m:from() end,
  event = function() return events:receive().kind end,
  tell = function(n) return (process.send("{local@app:worker|w" .. n .. "}", "t", n)) end,
  say = function(n) return (process.send("someone", "t", n)) end,
  child = function(n) local r, err = workflow.exec("app:child", n) return err and err:kind() or r end,
  version = function(n) return workflow.version("v" .. n, 1, n) end,
  work = function(n)
    local t, s = {}, ""
    for i = 1, n * 2000 do t["k" .. i % 50] = i end
    for k in pairs(t) do s = s .. k end
    return s
  end,
  fail = function(n) return select(2, pcall(error, { n })) and "failed" end,
}
for at, plan in ipairs(plans) do
  coroutine.spawn(function()
    for _, step in ipairs(plan) do log[#log + 1] = { at, step[1], does[step[1]](step[2]) } end
    done:send(at)
  end)
end
for _ = 1, #plans do log[#log + 1] = (done:receive()) end
return log
"""
STEPS = ("sleep", "call", "late", "tick", "draw", "hear", "event", "tell", "say", "child", "version", "work", "fail")
MODULES = ("funcs", "time", "workflow", "uuid", "crypto")
_STEP = st.tuples(st.sampled_from(STEPS), st.integers(1, 5)).map(list)
_PLANS = st.lists(st.lists(_STEP, min_size=1, max_size=4), min_size=1, max_size=3)
Told = list[tuple[int, Event]]


def _answers(command: Command) -> list[Event]:
    """What may come of a command, in one of its orders."""
    if isinstance(command, ScheduleActivity):
        return [ActivityResolved(command.seq, pack_list([command.seq]))]
    if isinstance(command, StartTimer):
        return [TimerFired(command.seq)]
    if isinstance(command, StartChild):
        return [ChildStarted(command.seq, "{x|c}"), ChildResolved(command.seq, failure=Failure("no", "NotFound"))]
    if isinstance(command, SignalExternal):
        return [ExternalResolved(command.seq)]
    return []


def live(machine: WorkflowMachine, plans: Any, draw: Any) -> tuple[Told, list[list[Command]]]:
    """Tell a machine what follows from what it wants, in a drawn order, and some messages."""
    told: Told = []
    said: list[list[Command]] = []
    waiting: list[list[Event]] = [[started(plans)]]
    now_ns = START_NS
    while waiting and len(told) < 60:
        line = waiting[draw(st.integers(0, len(waiting) - 1))] if told else waiting[0]
        event = line.pop(0)
        waiting = [rest for rest in waiting if rest]
        now_ns += draw(st.integers(0, 3)) * 1_000_000_000
        told.append((now_ns, event))
        said.append(machine.activate(now_ns, [event], history=(len(told), 0)))
        if len(told) == 1:
            waiting += [[SignalReceived(f"m{n}", source="{x|y}")] for n in range(4)]
            waiting += [[CancelRequested("enough")], [CancelRequested("now")]]
        for command in said[-1]:
            answers = _answers(command)
            if answers:
                waiting.append(answers)
        if machine.done is not None:
            break
    return told, said


@pytest.fixture
async def running(app):
    async with app(extra=[workflow_entry(SOURCE, MODULES)]) as found:
        yield found


@settings(
    max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), plans=_PLANS, others=_PLANS)
def _check(running: Any, data: Any, plans: Any, others: Any) -> None:
    machine = new_machine(running)
    told, said = live(machine, plans, data.draw)
    alone = new_machine(running)
    versions = [found for made in said for found in made if isinstance(found, RecordVersion)]
    alone.activate(START_NS, [PatchKnown(found.change_id, found.version) for found in versions], replaying=True)
    replayed = []
    for at, (now, event) in enumerate(told, 1):
        replayed.append(alone.activate(now, [event], replaying=True, history=(at, 0)))
    assert replayed == said
    # beside another one, in one VM, and stepped in turn
    beside, stranger = WorkflowMachine(alone.shard), WorkflowMachine(alone.shard)
    strange, _ = live(new_machine(running), others, data.draw)
    again = []
    for at, (now, event) in enumerate(told, 1):
        if at <= len(strange):
            stranger.activate(strange[at - 1][0], [strange[at - 1][1]], history=(at, 0))
        again.append(beside.activate(now, [event], history=(at, 0)))
    assert again == said


async def test_random_workflows(running):
    _check(running)


async def test_what_a_run_is_charged_depends_on_itself_alone(app):
    source = """
        local out = {}
        for task = 1, 3 do
          coroutine.spawn(function()
            for i = 1, 3000 do
              string.find(string.rep("a", 50) .. "count", "(a+)" .. i % 500 .. "?count")
              string.gsub("x y z", "%s" .. i % 300 .. "*", "")
            end
            out[#out + 1] = task .. tostring({})
          end)
        end
        time.sleep("1s")
        return out
    """
    async with app(extra=[workflow_entry(source, MODULES)]) as running:
        first = new_machine(running)
        second = WorkflowMachine(first.shard)
        looks = []
        for machine in (first, second):
            made = []
            for event in (started(), TimerFired(1)):
                made += machine.activate(START_NS, [event])
                looks.append(machine._looks)
        assert looks[:2] == looks[2:]


async def test_the_collector_decides_nothing(app):
    source = """
        local weak, count = setmetatable({}, { __mode = "k" }), 0
        for i = 1, 20000 do weak[{}] = i end
        for _ in pairs(weak) do count = count + 1 end
        return count
    """
    async with app(extra=[workflow_entry(source)]) as running:
        (end,) = new_machine(running).activate(START_NS, [started()])
        assert isinstance(end, Complete)
        assert unpack(end.result) == [20_000]


async def test_an_order_that_is_chance_is_warned_of(app):
    source = """
        local set = { [{}] = 1, a = 2 }
        for _ = 1, 3 do
          for _ in pairs(set) do end
        end
        for _ in pairs({ a = 1, [2] = 3 }) do end
    """
    async with app(extra=[workflow_entry(source)]) as running:
        warnings: list[Any] = []
        log = attrs.evolve(running.runtime, log=_Log(warnings))
        machine = new_machine(running)
        machine.runtime = log
        machine.activate(START_NS, [started()])
        (text, fields), *others = warnings
        assert "iteration over keys that are tables" in text
        assert (fields["line"], others) == ("app:flow:4", [])


class _Log:
    def __init__(self, kept: list[Any]) -> None:
        self._kept = kept

    def warn(self, message: str, /, **fields: object) -> None:
        self._kept.append((message, fields))
