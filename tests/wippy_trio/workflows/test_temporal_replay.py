"""Histories of a real Temporal server against the code that made them, and against changed code."""

from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from sandbox.values import pack_list
from tests.wippy_trio.workflows.temporal_app import activity, function, temporal_app, workflow
from wippy_trio.core.entry import Entry
from wippy_trio.workflows.temporal_replay import replay_temporal

pytestmark = [pytest.mark.service, pytest.mark.slow]

ORDER = """
local funcs, time, workflow, uuid = require("funcs"), require("time"), require("workflow"), require("uuid")
local order = ...
local id = uuid.v4()
local version = workflow.version("change", 1, 1)
local reserved, err = funcs.call("app:reserve", order)
if err then return nil, err end
time.sleep("1ms")
workflow.attrs({ memo = { step = "paid" } })
local child = workflow.exec("app:child", order)
local message = process.inbox():receive()
process.send(message:from(), "ack", id)
local shipped = funcs.call("app:ship", { id = id, by = message:payload():data() })
return { reserved = reserved, shipped = shipped, child = child, version = version }
"""
#: What is changed in the code, and whether a run in progress can bear it.
CHANGES: list[tuple[str, str, bool]] = [
    ("app:reserve", "app:other", False),
    ('time.sleep("1ms")', "", False),
    ('time.sleep("1ms")', 'time.sleep("1ms") time.sleep("1ms")', False),
    ('workflow.attrs({ memo = { step = "paid" } })', "", False),
    ('workflow.exec("app:child", order)', "1", False),
    ("app:child", "app:ship", False),
    ('local version = workflow.version("change", 1, 1)', "local version = 1", False),
    ('"change"', '"renamed"', False),
    ("local message = process.inbox():receive()", 'time.sleep("1s") local message = process.inbox():receive()', False),
    ('funcs.call("app:ship", { id = id, by = message:payload():data() })', "1", False),
    ("return { reserved", 'funcs.call("app:ship") return { reserved', False),
    ('local reserved, err = funcs.call("app:reserve", order)', 'error("early")', False),
    ("local id = uuid.v4()", "local id = uuid.v4() -- a comment", True),
    ("reserved", "booked", True),
    ("local funcs, time,", "\n\nlocal funcs, time,", True),
    ("if err then return nil, err end", "if err ~= nil then return nil, err end", True),
    ('time.sleep("1ms")', 'time.sleep("2ms")', True),
    ("local order = ...", "local order = ... print(order)", True),
    ("return { reserved", "local function f() end f() return { reserved", True),
    ('local version = workflow.version("change", 1, 1)', 'local version = workflow.version("change", 1, 2)', True),
    ("local id = uuid.v4()", 'local id = uuid.v4() if workflow.version("new", 1, 2) > 1 then time.sleep(5) end', True),
]


def entries(source: str) -> list[Entry]:
    echo = "return ..."
    return [
        workflow("order", source),
        workflow("child", "require('time').sleep('1ms') return { got = ... }"),
        activity("reserve", echo),
        activity("ship", echo),
        activity("other", echo),
    ]


async def test_histories_replay_and_changes_are_told(temporal_server) -> None:
    start = function(
        "start",
        "return process.with_options({}):with_name('order-for-replay'):spawn('app:order', 'app:worker', {n = 1})",
    )
    async with temporal_app(temporal_server, *entries(ORDER), start) as app:
        await app.call("start")
        await app.host.signal("order-for-replay", "go", pack_list(["bob"]))
        result = await app.host.outcome("order-for-replay")
        assert (result["version"], result["child"]) == (1, {"got": {"n": 1}})
    history = temporal_server.command("workflow", "show", "-w", "order-for-replay", "-o", "json")
    wrong = []
    for before, after, harmless in [("", "", True), *CHANGES]:
        assert before in ORDER, before
        changed = ORDER.replace(before, after, 1) if before else ORDER
        if before == "reserved":
            changed = ORDER.replace("reserved", "booked").replace("{ booked =", "{ reserved =")
        async with temporal_app(temporal_server, *entries(changed)) as app:
            report = await replay_temporal(app.app.runtime, history, "order-for-replay")
        assert report.events_count > 20
        if report.same is not harmless:
            wrong.append((before, after, report))
        elif not harmless and report.now:
            assert all("app:order:" in line for line in report.now), report
            assert "Failure {" not in report.problem, report
    assert wrong == []


async def test_what_is_no_history(temporal_server) -> None:
    async with temporal_app(temporal_server, workflow("one", "return 1")) as app:
        runtime = app.app.runtime
        wrong = ('{"events": [{"eventId": "x"}]}', '{"events": [{"eventType": {}}]}', '{"events": [5]}')
        for text in ("", "[]", "{}", '{"events": [{"eventId": "1"}]}', *wrong):
            with pytest.raises(LuaError, match="not a history of Temporal"):
                await replay_temporal(runtime, text)
        start = (
            '{"events": [{"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED",'
            ' "workflowExecutionStartedEventAttributes": {"workflowType": {"name": "app:gone"}}}]}'
        )
        with pytest.raises(LuaError, match="workflow not found: app:gone"):
            await replay_temporal(runtime, start)
