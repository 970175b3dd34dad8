"""What the `workflow` commands print for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from wippy_trio.cli.inspect import table
from wippy_trio.workflows.export import Row, Span, is_temporal, rows_of, spans_of

__all__ = ["render_history", "render_list", "render_replay", "render_show"]

_BAR_COUNT = 40
_NS = 1_000_000_000
_FACTS = ("run_id", "pid", "worker", "attempt", "length", "size_bytes", "first_run_id", "next_run_id", "parent_run_id")


def _time(ns: int) -> str:
    if not ns:
        return "-"
    moment = dt.datetime.fromtimestamp(ns // _NS, dt.UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _length(ns: int) -> str:
    """A length of time: `1.5ms`, `2.25s`, `1h02m`."""
    if ns < _NS:
        return f"{ns / 1e6:.4g}ms"
    seconds = ns / _NS
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = int(seconds)
    return f"{whole // 60}m{whole % 60:02}s" if whole < 3_600 else f"{whole // 3_600}h{whole % 3_600 // 60:02}m"


def render_list(runs: Sequence[Mapping[str, Any]]) -> str:
    """`workflow list` as text."""
    rows = []
    for run in runs:
        closed, started = run["closed_ns"], run["started_ns"]
        took = _length(closed - started) if closed and closed >= started else "-"
        rows.append([run["workflow_id"], run["name"], run["status"], _time(started), took, str(run["length"])])
    return table(["ID", "TYPE", "STATUS", "STARTED", "TOOK", "RECORDS"], rows) if rows else "no workflows"


def render_show(told: Mapping[str, Any]) -> str:
    """`workflow show` as text."""
    lines = [f"{told['workflow_id']}  {told['name']}  {told['status']}"]
    fields = (
        "run_id",
        "pid",
        "worker",
        "attempt",
        "length",
        "size_bytes",
        "first_run_id",
        "next_run_id",
        "parent_run_id",
    )
    lines += [f"  {name}: {told[name]}" for name in fields if told.get(name) not in ("", 0, None)]
    lines += [f"  {name}: {_time(told[key])}" for name, key in (("started", "started_ns"), ("closed", "closed_ns"))]
    for name in ("memo", "search", "result", "error", "state", "unknown"):
        if told.get(name) not in (None, {}, []):
            lines.append(f"  {name}: {_line(told[name])}")
    for task in told.get("tasks") or ():
        lines.append(f"  task: {task.get('waits') or task.get('state')} at {task.get('line') or '-'}")
    return "\n".join(lines)


def _line(value: object) -> str:
    return orjson.dumps(value, default=str).decode()


def _whole(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def render_history(data: Mapping[str, Any], form: str) -> str:
    """`workflow history` as text: `compact`, `timeline` or `full`.

    Raises:
        InvalidError: it is no history.
    """
    rows = rows_of(data)
    if form == "full":
        records = data["events"] if is_temporal(data) else [item["record"] for item in data["records"]]
        pairs = zip(rows, records, strict=False)
        return "\n".join(f"{row.number}  {_time(row.at_ns)}  {_whole(record)}" for row, record in pairs)
    return _timeline(rows) if form == "timeline" else _compact(rows)


def _compact(rows: Sequence[Row]) -> str:
    began = rows[0].at_ns if rows else 0
    lines = []
    for row in rows:
        mark = "!" if row.failed else " "
        after = _length(max(row.at_ns - began, 0))
        where = f"  ({row.line})" if row.line else ""
        lines.append(f"{row.number:>5} {mark} +{after:<8} {row.what:<24} {row.text}{where}".rstrip())
    return "\n".join(lines)


def _timeline(rows: Sequence[Row]) -> str:
    spans = spans_of(rows)
    if not rows:
        return ""
    began, ended = rows[0].at_ns, max(row.at_ns for row in rows)
    width = max([len(f"{span.kind} {span.name}") for span in spans] + [8])
    width = min(width, 48)
    lines = [f"{_time(began)}, {_length(ended - began)}, {len(rows)} records"]
    for span in spans:
        lines.append(_bar(span, began, max(ended - began, 1), width))
    return "\n".join(lines)


def _bar(span: Span, began: int, total: int, width: int) -> str:
    end = span.end_ns if span.end_ns is not None else began + total
    first = min(_BAR_COUNT - 1, (span.start_ns - began) * _BAR_COUNT // total)
    last = min(_BAR_COUNT - 1, max(first, (end - began) * _BAR_COUNT // total))
    char = "x" if span.failed else "#" if span.end_ns is not None else ">"
    bar = (" " * first + char * (last - first + 1)).ljust(_BAR_COUNT)
    took = _length(end - span.start_ns) if span.end_ns is not None else "open"
    name = f"{span.kind} {span.name}"
    return f"{name[:width].ljust(width)} |{bar}| {took}"


def render_replay(told: Mapping[str, Any]) -> str:
    """`workflow replay` as text."""
    if told["same"]:
        return f"same: {told['name']}, {told['count']} records"
    difference = told["difference"]
    lines = [f"different: {told['name']}, {told['count']} records", f"  {difference['text']}"]
    if "record" in difference:
        lines.append(f"  record {difference['record']}: {difference['recorded'] or 'nothing'}")
        lines.append(f"  now: {difference['now'] or 'nothing'}")
        if difference["field"]:
            lines.append(f"  field {difference['field']}: was {difference['was']!r}, is {difference['is']!r}")
        if difference["line"]:
            lines.append(f"  at {difference['line']}")
    else:
        lines += [f"  now: {item}" for item in difference["now"]]
    return "\n".join(lines)
