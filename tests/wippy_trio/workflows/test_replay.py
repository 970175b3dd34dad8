"""Changed code against a record: what breaks it is found and told with its line, what does not is let through."""

from __future__ import annotations

import pytest

from sandbox.values import pack_list
from tests.wippy_trio.workflows.machines import START_NS, new_machine, started, workflow_entry
from wippy_trio.workflows.history import Record
from wippy_trio.workflows.replay import NondeterminismError, compare, replay
from wippy_trio.workflows.wire import (
    ActivityResolved,
    ChildResolved,
    ChildStarted,
    Command,
    Event,
    ExternalResolved,
    SignalReceived,
    StartTimer,
    TimerFired,
    UpdateReceived,
    encode,
)

SOURCE = """
local order = ...
local caller = funcs.new():with_options({ ["activity.start_to_close_timeout"] = "30s" })
local paid, err = caller:call("app:pay", { total = order.total, currency = "EUR" })
if err then return nil, err end
time.sleep("1h")
local inbox = process.inbox()
local msg = inbox:receive()
local child = workflow.exec("app:ship", order.id, msg:payload():data())
process.send("clerk", "shipped", { id = order.id })
process.send("{local@app:worker|stock}", "less", 1)
local timer = time.after("2h")
local future = funcs.async("app:thank", order.id)
future:response():receive()
workflow.attrs({ search = { state = "done" } })
local updates = process.listen("note", { message = true })
local note = updates:receive()
process.send(note:from(), "ack")
process.send(note:from(), "ok", 1)
local version = workflow.version("audit", 1, 2)
if version == 2 then funcs.call("app:audit") end
return { paid = paid, child = child }
"""
TOLD: list[Event] = [
    started({"id": 7, "total": 5}),
    ActivityResolved(1, pack_list(["yes"])),
    TimerFired(2),
    SignalReceived("address", pack_list(["home"])),
    ChildStarted(3, "{local@app:worker|run-1_3}"),
    ChildResolved(3, pack_list(["sent"])),
    ExternalResolved(5),
    ActivityResolved(7, pack_list([True])),
    UpdateReceived("u1", "note", pack_list(["hello"])),
    ActivityResolved(8, pack_list([True])),
]
MODULES = ("funcs", "time", "workflow")


@pytest.fixture
def recorded(app):
    """The record of SOURCE, and replays of other sources against it."""

    async def run(old: str, new: str) -> None:
        assert SOURCE.count(old) == 1 or not old, old
        records = []
        async with app(extra=[workflow_entry(SOURCE, MODULES)]) as running:
            machine = new_machine(running)
            length = 0
            for at, event in enumerate(TOLD):
                now_ns = START_NS + at * 1_000_000_000
                length += 1
                made = machine.activate(now_ns, [event], history=(length, 0))
                messages: list[Event | Command] = [event, *made]
                records += [Record(now_ns, encode(message)) for message in messages]
                length += len(made)
            assert machine.done is not None
        changed = SOURCE.replace(old, new) if old else new
        async with app(extra=[workflow_entry(changed, MODULES)]) as running:
            await replay(lambda: new_machine(running), records)

    return run


BREAKS = [
    ('"app:pay"', '"app:charge"', 4, "name"),
    ("total = order.total,", "total = order.total + 1,", 4, "args[1].total"),
    (', currency = "EUR" }', "}", 4, "args[1].currency"),
    ('caller:call("app:pay", {', 'funcs.call("app:pay", {', 4, "options.start_to_close_ns"),
    ('"30s"', '"60s"', 4, "options.start_to_close_ns"),
    ('time.sleep("1h")', 'time.sleep("2h")', 6, "delay_ns"),
    ('time.sleep("1h")\n', "\n", 6, ""),
    ('time.sleep("1h")', 'time.sleep("1h") time.sleep("1s")', 6, ""),
    ('time.sleep("1h")', 'funcs.call("app:wait")', 6, ""),
    ('"app:ship"', '"app:send"', 9, "name"),
    ("order.id, msg:payload():data())", "order.id)", 9, "args[2]"),
    ('workflow.exec("app:ship"', 'funcs.call("app:ship"', 9, ""),
    ('"clerk"', '"boss"', 10, "destination"),
    ('"shipped"', '"sent"', 10, "topic"),
    ('process.send("clerk", "shipped", { id = order.id })\n', "\n", 11, ""),
    ("|stock}", "|store}", 11, "workflow_id"),
    ('local timer = time.after("2h")\nlocal future = funcs.async("app:thank", order.id)',
     'local future = funcs.async("app:thank", order.id)\nlocal timer = time.after("2h")', 12, ""),
    ('state = "done"', 'state = "over"', 15, "search.state"),
    ('"ok", 1)', '"ok", 2)', 19, "result[1]"),
    ('"audit", 1, 2)', '"review", 1, 2)', 20, ""),
    ("return { paid = paid,", "return { payed = paid,", 0, "result[1].paid"),
    ("local order = ...", "local order = ... do return 1 end", 0, ""),
    ("local order = ...", "local order = ... process.inbox():receive()", 4, ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "field"), BREAKS)
async def test_a_change_that_breaks_is_told(recorded, old, new, line, field):
    with pytest.raises(NondeterminismError) as caught:
        await recorded(old, new)
    found = caught.value.difference
    assert found.field == field
    if line:
        assert found.line == f"app:flow:{line}"
        assert f"app:flow:{line}" in str(caught.value)


HARMLESS = [
    ("local order = ...", "-- a comment\nlocal order = ..."),
    ("local order = ...", "\n\n\nlocal order = ..."),
    ("local order = ...", "local order <const> = ..."),
    ("local order = ...", "local order = ... print('begins')"),
    ("local order = ...", "local order = ... local unused = time.now()"),
    ("local order = ...", "local order = ... local id = math.random(5)"),
    ("local order = ...", "local order = ... time.sleep(0)"),
    ("local order = ...", "local order = ... workflow.expose('step', 'one')"),
    ("local order = ...", "local order = ... if workflow.version('new', 1, 2) == 2 then time.sleep('1h') end"),
    ("local order = ...", "local order = ... local n = 0 for i = 1, 1000 do n = n + i end"),
    ('{ total = order.total, currency = "EUR" }', '{ currency = "EUR", total = order.total }'),
    ("if err then return nil, err end", "if err ~= nil then return nil, err end"),
    ('time.sleep("1h")', 'time.sleep("60m")'),
    ('time.sleep("1h")', "time.sleep(time.HOUR)"),
    ("local inbox = process.inbox()\nlocal msg = inbox:receive()", "local msg = process.inbox():receive()"),
    ("local child = workflow.exec(", "local function ship(...) return workflow.exec(...) end local child = ship("),
    ('process.send("clerk", "shipped", { id', 'local to = "clerk" process.send(to, "shipped", { id'),
    ("if version == 2 then", "if version > 1 then"),
    ('"audit", 1, 2)', '"audit", 1, 5)'),
    ("return { paid = paid, child = child }", "local out = {} out.child, out.paid = child, paid return out"),
    ("local timer = time.after", "local clock = time.after"),
    ("", SOURCE.replace("order", "it")),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), HARMLESS)
async def test_a_harmless_change_is_let_through(recorded, old, new):
    await recorded(old, new)


async def test_a_version_below_what_is_supported(recorded):
    with pytest.raises(NondeterminismError) as caught:
        await recorded('"audit", 1, 2)', '"audit", 3, 4)')
    assert caught.value.difference.recorded == "schedule_activity app:audit"


def test_the_first_difference_counts():
    assert compare(5, [StartTimer(1, 2)], [StartTimer(1, 2)]) is None
    found = compare(5, [StartTimer(1, 2), StartTimer(2, 3)], [StartTimer(1, 2), StartTimer(2, 4, line="x:3")])
    assert found is not None
    assert (found.number, found.field, found.was, found.now, found.line) == (6, "delay_ns", 3, 4, "x:3")
    missing = compare(5, [StartTimer(1, 2)], [])
    assert missing is not None
    assert (missing.recorded, missing.made) == ("start_timer", "")
