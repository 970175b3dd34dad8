"""What happens when a process ends: every kind of ending, seen from every relation. Source of test_crash_matrix.py and
of the tables in docs/guides/process-endings.md, which `python tests/wippy_trio/actors/crash_matrix.py` writes anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

PAGE = Path(__file__).parents[3] / "docs" / "guides" / "process-endings.md"
_BEGIN, _END = "<!-- table {}: written by tests/wippy_trio/actors/crash_matrix.py -->", "<!-- end of table -->"


@attrs.frozen(slots=True)
class Cell:
    """The outcome of an ending for somebody.

    Attributes:
        text: as the docs tell it.
        told: kinds of the events that a watcher gets.
        lives: whether a watcher lives on.
        state: of a service or of a child afterwards; `gave up` for a supervisor that failed.
        starts: how often the process was started in all.
        siblings: which of its siblings (a was started before it, c after it) were started again.
    """

    text: str
    told: tuple[str, ...] = ()
    lives: bool = True
    state: str = ""
    starts: int = 1
    siblings: str = ""


@attrs.frozen(slots=True)
class Ending:
    """A way to end: `kind` and `message` of its error, or neither for the value `value`."""

    name: str
    title: str
    cells: Mapping[str, Cell | None]
    value: str = ""
    kind: str = ""
    message: str = ""


RELATIONS = {
    "none": "Nobody",
    "monitor": "Monitor",
    "link": "Link",
    "trap": "Link, `trap_links`",
    "exec": "`process.exec`",
    "service": "`process.service`",
}
CHILDREN = {
    "permanent": "permanent",
    "transient": "transient",
    "temporary": "temporary",
    "one_for_all": "permanent, `one_for_all`",
    "rest_for_one": "permanent, `rest_for_one`",
}

# Watchers.
SILENT = Cell("nothing; later sends get NOT_FOUND")
EXIT = Cell("EXIT; lives on", ("pid.exit",))
UNTOLD = Cell("nothing")
DIES = Cell("ends, too: INTERNAL, linked process failed", lives=False)
TRAPPED = Cell("LINK_DOWN; lives on", ("pid.link.down",))
RETURNS = Cell("returns the value", ("value",))
RAISES = Cell("returns nil and the error", ("error",))

# The service that keeps it.
EXITED = Cell("`exited`, stays down", state="exited")
RESTARTS = Cell("`failed`, starts again", state="running", starts=2)
STOPPED = Cell("`stopped`", state="stopped")

# The supervisor it is a child of.
AGAIN = Cell("starts again", state="running", starts=2)
DOWN = Cell("stays down", state="stopped")
GONE = Cell("is forgotten", state="forgotten")
WITH_ALL = Cell("all start again", state="running", starts=2, siblings="ac")
WITH_REST = Cell("it and later ones start again", state="running", starts=2, siblings="c")
GIVES_UP = Cell("the supervisor gives up", state="gave up")

_WATCHED_VALUE = {"none": SILENT, "monitor": EXIT, "link": UNTOLD, "trap": UNTOLD, "exec": RETURNS}
_WATCHED_ERROR = {"none": SILENT, "monitor": EXIT, "link": DIES, "trap": TRAPPED, "exec": RAISES}
_ALWAYS = {"permanent": AGAIN, "temporary": GONE, "one_for_all": WITH_ALL, "rest_for_one": WITH_REST}
_HOSTLESS = {
    "permanent": GIVES_UP,
    "transient": DOWN,
    "temporary": GONE,
    "one_for_all": GIVES_UP,
    "rest_for_one": GIVES_UP,
}
_ON_REQUEST = {"permanent": DOWN, "transient": DOWN, "temporary": GONE, "one_for_all": DOWN, "rest_for_one": DOWN}

_VALUE = {**_WATCHED_VALUE, "service": EXITED, **_ALWAYS, "transient": DOWN}
_FAILURE = {**_WATCHED_ERROR, "service": RESTARTS, **_ALWAYS, "transient": AGAIN}
_FINAL = {**_WATCHED_ERROR, "service": EXITED, **_ALWAYS, "transient": DOWN}

ENDINGS = (
    Ending("return", "returns a value", _VALUE, value="done"),
    Ending("error", "raises a text", _FAILURE, kind="Internal", message="boom"),
    Ending("object", "raises or returns an error object", _FAILURE, kind="Conflict", message="no luck"),
    Ending("task", "fails in a coroutine of its own", _FAILURE, kind="Internal", message="boom"),
    Ending("final", "returns an error with `retryable = false`", _FINAL, kind="Conflict", message="no use"),
    Ending("table", "raises a table with `retryable = false`", _FINAL, kind="Conflict", message="no table"),
    Ending("cancel", "obeys `process.cancel`", _VALUE, value="stopped"),
    Ending(
        "stop",
        "is stopped by who keeps it, and obeys",
        {**_WATCHED_VALUE, "exec": None, "service": STOPPED, **_ON_REQUEST},
        value="stopped",
    ),
    Ending(
        "deaf",
        "is stopped by who keeps it, and ignores it past the time limit",
        {**_WATCHED_ERROR, "exec": None, "service": STOPPED, **_ON_REQUEST},
        kind="Canceled",
        message="service stopped",
    ),
    Ending("terminate", "`process.terminate`", _FINAL, kind="Canceled", message="process terminated"),
    Ending("budget", "uses up its CPU budget", _FAILURE, kind="Internal", message="CPU limit exceeded"),
    Ending("memory", "exceeds the memory of its host's VM", _FAILURE, kind="Internal", message="memory limit"),
    Ending(
        "collapse", "its host's VM fails as a whole", _FAILURE, kind="Unavailable", message="host VM app:host failed"
    ),
    Ending("host", "its host stops; it obeys", {**_VALUE, **_HOSTLESS}, value="stopped"),
    Ending(
        "host_deaf",
        "its host stops; it ignores that past the time limit",
        {**_FINAL, **_HOSTLESS},
        kind="Canceled",
        message="host stopped",
    ),
)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _table(columns: dict[str, str], *, outcomes: bool) -> str:
    head = ["The process", *(["It ends with"] if outcomes else []), *columns.values()]
    lines = [_row(head), _row(["---"] * len(head))]
    for ending in ENDINGS:
        told = f"{ending.kind.upper()}: {ending.message}" if ending.kind else "its value"
        cells = [ending.cells[name] for name in columns]
        texts = [cell.text if cell is not None else "" for cell in cells]
        lines.append(_row([ending.title, *([told] if outcomes else []), *texts]))
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """The tables of the page by name."""
    return {"watchers": _table(RELATIONS, outcomes=True), "children": _table(CHILDREN, outcomes=False)}


def rendered(page: str) -> str:
    """The page with its tables as they should be."""
    for name, table in tables().items():
        begin = _BEGIN.format(name)
        before, found, rest = page.partition(begin)
        assert found, f"no place for table {name}"
        _, found, after = rest.partition(_END)
        assert found, f"table {name} has no end"
        page = f"{before}{begin}\n\n{table}\n\n{_END}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
