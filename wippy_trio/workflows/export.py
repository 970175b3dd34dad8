"""Histories as JSON-like data: exported, read again, and told to people. Ours and those of a Temporal server.

Source: ours (docs/guides/workflows.md).
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.history import Record, RunInfo
from wippy_trio.workflows.wire import decode, encode, from_json, to_json

__all__ = ["FORMAT", "Row", "Span", "export_run", "is_temporal", "read_records", "rows_of", "spans_of"]

#: First key of our exports; a change that older programs cannot read gets another number.
FORMAT = "wippy_trio workflow history 1"
_TEXT_COUNT = 200


def export_run(info: RunInfo, records: Sequence[Record]) -> dict[str, Any]:
    """A run of the embedded engine, whole."""
    return {
        "format": FORMAT,
        "workflow_id": info.workflow_id,
        "run_id": info.run_id,
        "name": info.name,
        "entry": info.entry,
        "status": str(info.status),
        "records": [{"at_ns": record.at_ns, "record": to_json(decode(record.data))} for record in records],
    }


def is_temporal(data: Mapping[str, Any]) -> bool:
    """Whether an export is one of a Temporal server.

    Raises:
        InvalidError: it is neither theirs nor ours.
    """
    if data.get("format") == FORMAT:
        return False
    if isinstance(data.get("events"), list):
        return True
    raise InvalidError("not a workflow history: neither one of `workflow export` nor Temporal's JSON")


def read_records(data: Mapping[str, Any]) -> list[Record]:
    """The records of our export.

    Raises:
        InvalidError: malformed.
    """
    try:
        return [Record(int(item["at_ns"]), encode(from_json(item["record"]))) for item in data["records"]]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
        raise InvalidError(f"malformed workflow history: {problem!r}") from problem


@attrs.frozen(slots=True)
class Row:
    """One record in words.

    Attributes:
        number: from 1.
        at_ns: Unix time.
        what: its kind.
        text: what it is about.
        line: of the Lua code that asked, where it is known.
        begins, ends: name of the span that it begins or ends, or empty.
        failed: whether it tells of a failure.
    """

    number: int
    at_ns: int
    what: str
    text: str = ""
    line: str = ""
    begins: str = ""
    ends: str = ""
    failed: bool = False


@attrs.frozen(slots=True)
class Span:
    """Something that took its time: an activity, a timer, a child. `end_ns` None: it has not ended."""

    kind: str
    name: str
    start_ns: int
    end_ns: int | None = None
    failed: bool = False
    line: str = ""


def rows_of(data: Mapping[str, Any]) -> list[Row]:
    """An exported history record by record.

    Raises:
        InvalidError: it is none.
    """
    try:
        if is_temporal(data):
            return [_temporal_row(event) for event in data["events"] if isinstance(event, Mapping)]
        return [_row(at, int(item["at_ns"]), item["record"]) for at, item in enumerate(data["records"], 1)]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
        raise InvalidError(f"malformed workflow history: {problem!r}") from problem


def spans_of(rows: Sequence[Row]) -> list[Span]:
    """What took its time, in order of the beginning."""
    spans: dict[str, Span] = {}
    for row in rows:
        if row.begins:
            kind, _, _ = row.begins.partition("/")
            spans[row.begins] = Span(kind, row.text, row.at_ns, line=row.line)
        elif row.ends:
            key = row.ends if row.ends in spans else _of_any_kind(spans, row.ends)
            if key in spans and spans[key].end_ns is None:
                spans[key] = attrs.evolve(spans[key], end_ns=row.at_ns, failed=row.failed)
    return list(spans.values())


def _of_any_kind(spans: Mapping[str, Span], key: str) -> str:
    number = key.partition("/")[2]
    return next((name for name in spans if name.partition("/")[2] == number), "")


# ours --------------------------------------------------------------------------------------------------------------
_BEGINS = {"schedule_activity": "activity", "start_timer": "timer", "start_child": "child"}
_ENDS = {
    "activity_resolved": "activity",
    "timer_fired": "timer",
    "cancel_timer": "timer",
    "child_resolved": "child",
}
_NAMES = ("name", "topic", "change_id", "workflow_id", "id", "pid", "destination", "reason")


def _row(number: int, at_ns: int, record: Mapping[str, Any]) -> Row:
    kind, seq = str(record.get("kind")), record.get("seq")
    failure = record.get("failure")
    begins = f"{_BEGINS[kind]}/{seq}" if kind in _BEGINS else ""
    ends = f"{_ENDS[kind]}/{seq}" if kind in _ENDS else ""
    return Row(number, at_ns, kind, _text(record), str(record.get("line") or ""), begins, ends, failure is not None)


def _text(record: Mapping[str, Any]) -> str:
    parts = [str(record[name]) for name in _NAMES[:1] if name in record]
    parts = parts or [str(record[name]) for name in _NAMES if record.get(name)][:1]
    if "delay_ns" in record:
        parts.append(f"{int(record['delay_ns']) / 1e9:g}s")
    if "version" in record:
        parts.append(str(record["version"]))
    failure = record.get("failure")
    if isinstance(failure, Mapping):
        parts.append(f"{failure.get('kind') or 'error'}: {failure.get('message')}")
    for name in ("args", "input", "payloads", "result"):
        value = record.get(name)
        if isinstance(value, Mapping):
            parts.append(str(value.get("value", value.get("text", ""))))
    text = " ".join(parts)
    return text if len(text) <= _TEXT_COUNT else text[: _TEXT_COUNT - 3] + "..."


# Temporal's ----------------------------------------------------------------------------------------------------------
_PREFIX = "EVENT_TYPE_"
_THEIR_BEGINS = {
    "ACTIVITY_TASK_SCHEDULED": "activity",
    "TIMER_STARTED": "timer",
    "START_CHILD_WORKFLOW_EXECUTION_INITIATED": "child",
}
_THEIR_ENDS = {
    "ACTIVITY_TASK_COMPLETED": ("activity", "scheduledEventId"),
    "ACTIVITY_TASK_FAILED": ("activity", "scheduledEventId"),
    "ACTIVITY_TASK_TIMED_OUT": ("activity", "scheduledEventId"),
    "ACTIVITY_TASK_CANCELED": ("activity", "scheduledEventId"),
    "TIMER_FIRED": ("timer", "startedEventId"),
    "TIMER_CANCELED": ("timer", "startedEventId"),
    "START_CHILD_WORKFLOW_EXECUTION_FAILED": ("child", "initiatedEventId"),
    "CHILD_WORKFLOW_EXECUTION_COMPLETED": ("child", "initiatedEventId"),
    "CHILD_WORKFLOW_EXECUTION_FAILED": ("child", "initiatedEventId"),
    "CHILD_WORKFLOW_EXECUTION_CANCELED": ("child", "initiatedEventId"),
    "CHILD_WORKFLOW_EXECUTION_TIMED_OUT": ("child", "initiatedEventId"),
    "CHILD_WORKFLOW_EXECUTION_TERMINATED": ("child", "initiatedEventId"),
}


def _temporal_row(event: Mapping[str, Any]) -> Row:
    what = _event_type(str(event.get("eventType") or ""))
    number = int(event.get("eventId") or 0)
    attributes: Mapping[str, Any] = {}
    for key, value in event.items():
        if key.endswith("EventAttributes") and isinstance(value, Mapping):
            attributes = value
    begins = f"{_THEIR_BEGINS[what]}/{number}" if what in _THEIR_BEGINS else ""
    ends = ""
    if what in _THEIR_ENDS:
        kind, key = _THEIR_ENDS[what]
        ends = f"{kind}/{attributes.get(key)}"
    failed = "failure" in attributes or what.endswith("_TIMED_OUT")
    text = _their_text(attributes)
    return Row(number, _ns(str(event.get("eventTime") or "")), what.lower(), text, "", begins, ends, failed)


def _event_type(text: str) -> str:
    """`EVENT_TYPE_TIMER_FIRED`, or `TimerFired` as older programs write it, as `TIMER_FIRED`."""
    if text.startswith(_PREFIX) or text.isupper():
        return text.removeprefix(_PREFIX)
    return "".join(f"_{char}" if char.isupper() else char for char in text).strip("_").upper()


def _their_text(attributes: Mapping[str, Any]) -> str:
    parts = []
    for key in ("activityType", "workflowType"):
        value = attributes.get(key)
        if isinstance(value, Mapping):
            parts.append(str(value.get("name")))
    for key in ("signalName", "startToFireTimeout", "markerName", "reason"):
        if attributes.get(key):
            parts.append(str(attributes[key]))
    failure = attributes.get("failure")
    if isinstance(failure, Mapping):
        parts.append(str(failure.get("message")))
    text = " ".join(parts)
    return text if len(text) <= _TEXT_COUNT else text[: _TEXT_COUNT - 3] + "..."


def _ns(text: str) -> int:
    """A time as Temporal writes it (`2026-01-02T03:04:05.123456789Z`)."""
    whole, _, part = text.removesuffix("Z").partition(".")
    try:
        seconds = calendar.timegm(dt.datetime.fromisoformat(whole).timetuple())
        return seconds * 1_000_000_000 + int(part.ljust(9, "0")[:9] or 0)
    except ValueError:
        return 0
