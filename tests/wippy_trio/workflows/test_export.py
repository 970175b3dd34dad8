from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import LuaError
from sandbox.values import pack_list
from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.export import export_run, is_temporal, read_records, rows_of, spans_of
from wippy_trio.workflows.history import Record, RunInfo, Status
from wippy_trio.workflows.options import ActivityOptions
from wippy_trio.workflows.wire import (
    ActivityResolved,
    Command,
    Complete,
    Event,
    Failure,
    RecordVersion,
    ScheduleActivity,
    SignalReceived,
    StartChild,
    Started,
    StartTimer,
    TimerFired,
    encode,
)

SECOND = 1_000_000_000
MESSAGES: list[Event | Command] = [
    Started("order-1", "r1", "app:order", "app:order", "{n@h|order-1}", "app:h", b"s" * 16, pack_list([{"n": 1}])),
    RecordVersion("change", 2, line="app:order:2"),
    ScheduleActivity(1, "app:pay", pack_list([b"\xff"]), ActivityOptions(summary="x"), line="app:order:3"),
    ActivityResolved(1, failure=Failure("no", "Invalid", details={"a": 1})),
    StartTimer(2, 5 * SECOND, line="app:order:5"),
    TimerFired(2),
    StartChild(3, "child-1", "app:child", line="app:order:6"),
    SignalReceived("go", pack_list(["bob"]), "{n@h|1}"),
    Complete(pack_list(["done"])),
]
RECORDS = [Record(at * SECOND, encode(message)) for at, message in enumerate(MESSAGES)]
INFO = RunInfo("r1", "order-1", "app:order", "app:order", "app:h", "{n@h|order-1}", Status.COMPLETED)


def test_an_export_is_read_again_byte_for_byte() -> None:
    data = export_run(INFO, RECORDS)
    assert not is_temporal(data)
    assert (data["workflow_id"], data["entry"], data["status"]) == ("order-1", "app:order", "completed")
    assert read_records(data) == RECORDS


def test_rows_and_spans() -> None:
    rows = rows_of(export_run(INFO, RECORDS))
    assert [row.what for row in rows][:3] == ["started", "record_version", "schedule_activity"]
    assert rows[1].text == "change 2"
    assert rows[2].line == "app:order:3"
    assert (rows[3].failed, rows[3].text) == (True, "Invalid: no")
    assert rows[7].text == "go ['bob']"
    told = [
        (span.kind, span.name.split()[0], span.start_ns // SECOND, span.end_ns, span.failed) for span in spans_of(rows)
    ]
    assert told == [
        ("activity", "app:pay", 2, 3 * SECOND, True),
        ("timer", "5s", 4, 5 * SECOND, False),
        ("child", "app:child", 6, None, False),
    ]


def event(number: int, kind: str, **attributes: object) -> dict[str, object]:
    time = f"2026-01-02T03:04:{number:02}.5Z"
    return {"eventId": str(number), "eventTime": time, "eventType": kind, "someEventAttributes": attributes}


def test_histories_of_temporal() -> None:
    data = {
        "events": [
            event(1, "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED", workflowType={"name": "app:order"}),
            event(5, "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", activityType={"name": "app:pay"}),
            event(7, "EVENT_TYPE_ACTIVITY_TASK_FAILED", scheduledEventId="5", failure={"message": "no"}),
            event(8, "TimerStarted", startToFireTimeout="5s"),
            event(9, "TimerFired", startedEventId="8"),
        ]
    }
    assert is_temporal(data)
    rows = rows_of(data)
    assert [(row.number, row.what, row.text) for row in rows] == [
        (1, "workflow_execution_started", "app:order"),
        (5, "activity_task_scheduled", "app:pay"),
        (7, "activity_task_failed", "no"),
        (8, "timer_started", "5s"),
        (9, "timer_fired", ""),
    ]
    assert rows[1].at_ns - rows[0].at_ns == 4 * SECOND
    assert rows[0].at_ns % SECOND == SECOND // 2
    told = [(span.kind, span.name, (span.end_ns or 0) - span.start_ns, span.failed) for span in spans_of(rows)]
    assert told == [("activity", "app:pay", 2 * SECOND, True), ("timer", "5s", SECOND, False)]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"events": 5},
        {"format": "wippy_trio workflow history 1"},
        {"format": "wippy_trio workflow history 1", "records": [{"at_ns": 1}]},
        {"format": "wippy_trio workflow history 1", "records": [{"at_ns": 1, "record": {"kind": "odd"}}]},
        {"format": "wippy_trio workflow history 1", "records": 7},
    ],
)
def test_what_is_no_history(data) -> None:
    def read() -> None:
        is_temporal(data)
        read_records(data)

    with pytest.raises(InvalidError):
        read()


def test_times_that_are_none() -> None:
    assert rows_of({"events": [{"eventType": "X", "eventTime": "soon"}]})[0].at_ns == 0


KEYS = st.sampled_from(
    [
        "eventId",
        "eventTime",
        "eventType",
        "xEventAttributes",
        "failure",
        "kind",
        "seq",
        "at_ns",
        "record",
        "args",
        "name",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_strange_histories_are_refused_or_shown(value, ours) -> None:
    listed = value if isinstance(value, list) else [value]
    data = {"format": "wippy_trio workflow history 1", "records": listed} if ours else {"events": listed}
    for read in (rows_of, read_records) if ours else (rows_of,):
        try:
            found = read(data)
        except LuaError:
            continue
        if read is rows_of:
            spans_of(found)  # type: ignore[arg-type]
