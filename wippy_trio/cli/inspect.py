"""`ps`, `tree`, `inspect`, `why` and `record`: questions to the node that runs in a project's folder. Source: ours."""

from __future__ import annotations

from typing import Any

import click

__all__ = ["add_commands"]

_PROJECT = click.option("--project", default=".", metavar="DIR", help="Folder of the app (default: here).")
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON output.")
_LIMIT = click.option("--limit", default=200, show_default=True, help="Processes shown at most.")
_PID = click.argument("pid")


def add_commands(group: click.Group) -> None:
    """Give the program its questions to a running node."""
    for command in (ps, tree, inspect, why, record):
        group.add_command(command)


def _ask(project: str, request: dict[str, Any]) -> Any:
    import trio

    from determinism.system import system_environment
    from wippy_trio.app.admin import ask

    environment = system_environment()
    return trio.run(ask, environment, environment.disk.realpath(project), request)


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@click.command()
@_PROJECT
@_JSON
@_LIMIT
@click.option(
    "--sort",
    type=click.Choice(["start", "mailbox", "steps", "cpu", "age", "restarts"]),
    default="start",
    show_default=True,
    help="Which come first.",
)
@click.option("--entry", metavar="NS:NAME", help="Only processes of this entry.")
def ps(project: str, as_json: bool, limit: int, sort: str, entry: str | None) -> None:
    """List the processes of the running app: what each does and where it waits."""
    told = _ask(project, {"op": "ps", "limit": limit, "sort": sort, "entry": entry})
    click.echo(_json(told) if as_json else render_ps(told))


@click.command()
@_PROJECT
@_JSON
@_LIMIT
def tree(project: str, as_json: bool, limit: int) -> None:
    """Show services, supervisors and processes below the one that started them."""
    told = _ask(project, {"op": "tree", "limit": limit})
    click.echo(_json(told) if as_json else render_tree(told))


@click.command()
@_PROJECT
@_JSON
@_PID
def inspect(project: str, as_json: bool, pid: str) -> None:
    """Show everything about one process.

    PID is a PID, the end of one (`0x0001a`), or a registered name.
    """
    told = _ask(project, {"op": "inspect", "pid": pid})
    click.echo(_json(told) if as_json else render_details(told))


@click.command()
@_PROJECT
@_JSON
@_PID
def why(project: str, as_json: bool, pid: str) -> None:
    """Tell why a process waits or is gone, with its Lua traceback, or why a service is not running.

    PID is a PID, the end of one (`0x0001a`), a registered name, or the id of a service.
    """
    told = _ask(project, {"op": "why", "pid": pid})
    click.echo(_json(told) if as_json else render_why(told))


@click.command()
@_PROJECT
@_JSON
@_PID
def record(project: str, as_json: bool, pid: str) -> None:
    """Write what a process was given so far to a journal, which `replay` runs again. Its host needs the field record.

    PID is a PID, the end of one (`0x0001a`), or a registered name.
    """
    told = _ask(project, {"op": "record", "pid": pid})
    click.echo(_json(told) if as_json else f"{told['pid']}: {told['path']}")


# text ----------------------------------------------------------------------------------------------------------------
def age(seconds: float | None) -> str:
    """A length of time in at most two units: `3s`, `2m05s`, `1h00m`, `4d02h`."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3_600:02}h"


def cpu(seconds: float) -> str:
    """Processor time: `0.4ms`, `1.25s`, or as `age` has it from a minute on."""
    if seconds >= 60:
        return age(seconds)
    return f"{seconds:.2f}s" if seconds >= 1 else f"{seconds * 1000:.1f}ms"


def _waits(row: dict[str, Any]) -> str:
    what = row.get("waits") or ("" if row.get("state") == "waiting" else row.get("state", ""))
    return f"{what} at {row['line']}" if row.get("line") else str(what)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as their widest cell, numbers to the right."""
    widths = [max(len(line[at]) for line in [head, *rows]) for at in range(len(head))]
    numeric = [bool(rows) and all(row[at].isdigit() for row in rows) for at in range(len(head))]
    lines = []
    for line in [head, *rows]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def render_ps(told: dict[str, Any]) -> str:
    """`ps` as text."""
    rows = [
        [
            row["pid"],
            row["entry"] if row["type"] == "process" else f"{row['entry']} ({row['type']})",
            str(row["mailbox"]),
            str(row["steps"]),
            str(row["restarts"]),
            cpu(row["cpu_s"]),
            str(row["timers"]),
            age(row["age_s"]),
            _waits(row),
        ]
        for row in told["processes"]
    ]
    text = table(["PID", "ENTRY", "MAIL", "STEPS", "RESTARTS", "CPU", "TIMERS", "AGE", "WAITS ON"], rows)
    more = told["total"] - len(rows)
    return f"{text}\n... and {more} more (--limit)" if more > 0 else text


def render_tree(told: dict[str, Any]) -> str:
    """`tree` as text."""
    lines = [told["node"]]
    _branches(told["trees"], "", lines)
    more = told["total"] - told["shown"]
    if more > 0:
        lines.append(f"... and {more} more processes (--limit)")
    return "\n".join(lines)


def _branches(nodes: list[dict[str, Any]], indent: str, lines: list[str]) -> None:
    for at, node in enumerate(nodes):
        last = at == len(nodes) - 1
        lines.append(f"{indent}{'└─' if last else '├─'} {_label(node)}")
        _branches(node["children"], indent + ("   " if last else "│  "), lines)


def _label(node: dict[str, Any]) -> str:
    again = f", restarted {node['restarts']} times" if node.get("restarts") else ""
    if "service" in node:
        return f"{node['service']} (service, {node['state']}{again})"
    name = f"{node['child']}: " if "child" in node else ""
    if "pid" not in node:
        return f"{name}{node['state']}{again}" + (f" ({node['error']})" if node.get("error") else "")
    if node["type"] == "supervisor":
        return f"{name}{node['entry']} (supervisor{again}) {node['pid']}"
    mail = f", {node['mailbox']} messages" if node["mailbox"] else ""
    return f"{name}{node['entry']} {node['pid']} ({_waits(node) or node['state']}{mail}{again})"


_FIELDS = {
    "entry": "entry",
    "type": "type",
    "host": "host",
    "parent": "parent",
    "actor": "acts as",
    "names": "names",
    "links": "links",
    "monitors": "monitors",
    "monitored_by": "monitored by",
    "listens": "listens to",
    "steps": "steps",
    "restarts": "restarts",
    "operations": "operations",
}


def render_details(told: dict[str, Any]) -> str:
    """`inspect` as text."""
    lines = [told["pid"]]
    for key, name in _FIELDS.items():
        value = told.get(key)
        if value not in (None, "", [], 0):
            lines.append(f"  {name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    lines.append(f"  age: {age(told.get('age_s'))}")
    if told.get("cpu_s"):
        lines.append(f"  processor time: {cpu(told['cpu_s'])}")
    for first in told.get("waiting_timers", [])[:1]:
        lines.append(f"  timers: {told['timers']}, the next ({first['operation']}) in {first['due_s']:.3f} s")
    if "mailbox_limit" in told:
        unread = f", {told['unread']} of them nobody listens to" if told["unread"] else ""
        lines.append(f"  mailbox: {told['mailbox']} of {told['mailbox_limit']}{unread}")
    for child in told.get("children", []):
        lines.append(
            f"  child {child['id']}: {child['state']} {child.get('pid', '')}, restarted {child['restarts']} times"
        )
    lines += _tasks(told)
    return "\n".join(lines)


def _tasks(told: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for task in told.get("tasks", []):
        lines.append(f"  {'main task' if task['main'] else 'task'}: {_waits(task) or task['state']}")
        lines += [f"    {line}" for line in str(task.get("trace") or "").splitlines()]
    more = told.get("task_count", 0) - len(told.get("tasks", []))
    return [*lines, f"  ... and {more} more tasks"] if more > 0 else lines


def render_why(told: dict[str, Any]) -> str:
    """`why` as text."""
    lines = [told["summary"], *_tasks(told)]
    if told.get("stack"):
        lines += [f"  {line}" for line in str(told["stack"]).splitlines()]
    return "\n".join(lines)
