"""What led to what in a traced life: messages, starts, calls, endings, faults, and data that actors share.

Within an actor each event follows the one before it; the links here are those from one actor to another. They are read
off the log: exact for messages, starts and endings; for shared data a read follows the last write of the same store
and key. Who reads a whole store or a database, or was delivered something from a queue, follows the last writes there.
Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from determinism.trace import TraceEvent
from wippy_trio.simulation.shown import decoded

__all__ = ["LINKS", "Link", "cone_of", "find_links", "spans_of"]

#: Kinds of links.
LINKS = ("message", "start", "call", "return", "event", "shared", "fault", "failure")

_PID = re.compile(rb"\{[^{}|]*\|(0x[0-9a-f]+)\}")
_PID_TEXT = re.compile(r"\{[^{}|]*\|(0x[0-9a-f]+)\}")
_READS = re.compile(
    r"\.(get|has|exists|find|list|query|query_row|lookup|members|read|scan|stat|len|count|where_am_i)(_now)?$"
)
#: Writes that a reader of a whole store, a database or a queue follows at most: the last of each key, or writer.
_MOST_WRITES = 20
_SHARING = frozenset({"store", "sql", "fs", "events", "env", "queue", "pg", "registry", "system"})


@attrs.frozen(slots=True)
class Link:
    """Event `source` led to event `target` (positions in the log), by a `kind` of `LINKS`."""

    source: int
    target: int
    kind: str


class _Lane:
    """What is known of one actor while the log is read."""

    __slots__ = ("issues", "last", "pending", "untaken")

    def __init__(self) -> None:
        self.last = -1
        #: Events that its next step takes up.
        self.untaken: list[int] = []
        #: Operations under way: number -> position, and position of the ending of the process that a call started.
        self.issues: dict[str, int] = {}
        self.pending: dict[str, int] = {}


class _Reader:
    def __init__(self, log: Sequence[TraceEvent]) -> None:
        self.log = log
        self.links: list[Link] = []
        self.lanes: dict[str, _Lane] = {}
        self.by_pid: dict[str, str] = {}
        #: (area, resource) -> key, or writer where there are no keys -> position of its last write.
        self.writes: dict[tuple[str, str], dict[str, int]] = {}
        self.deliveries: list[int] = []
        #: Calls whose callee has not begun, and callee -> (caller, operation number).
        self.calls: dict[str, list[tuple[str, str, int]]] = {}
        self.callers: dict[str, tuple[str, str]] = {}
        self.fault = -1

    def link(self, source: int, target: int, kind: str) -> None:
        if source >= 0 and source != target and (kind != "shared" or self.log[source].actor != self.log[target].actor):
            self.links.append(Link(source, target, kind))

    def lane(self, name: str) -> _Lane:
        found = self.lanes.get(name)
        if found is None:
            found = self.lanes[name] = _Lane()
            if "|" in name:
                self.by_pid[name.rpartition("|")[2]] = name
        return found

    def read(self) -> None:
        handlers = {
            "begin": self.begin,
            "step": self.step,
            "sent": self.sent,
            "message": self.message,
            "event": self.event,
            "issue": self.issue,
            "answer": self.answer,
            "call": self.call,
            "exit": self.exit,
            "fault": self.struck,
            "failure": self.failure,
        }
        for at, event in enumerate(self.log):
            handler = handlers.get(event.what)
            lane = self.lane(event.actor)
            if handler is not None:
                handler(at, event, lane)
            lane.last = at

    # one event each --------------------------------------------------------------------------------------------
    def begin(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        lane.untaken.append(at)
        after = self.log[at + 1] if at + 1 < len(self.log) else None
        if after is not None and after.what == "call" and after.about.startswith("process."):
            self.link(at + 1, at, "start")  # told after what it started
            return
        waiting = self.calls.get(event.actor.partition("|")[0])
        if waiting:
            caller, number, issued = waiting.pop(0)
            self.link(issued, at, "call")
            self.callers[event.actor] = caller, number
            return
        for (area, _), writes in self.writes.items():  # a delivery: of one of these
            if area == "queue":
                for written in list(writes.values())[-_MOST_WRITES:]:
                    self.link(written, at, "shared")
        for struck in self.deliveries:
            self.link(struck, at, "fault")
        self.deliveries.clear()

    def step(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        for source in lane.untaken:
            if self.log[source].what == "sent":
                self.link(source, at, "message")
        lane.untaken.clear()

    def sent(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        found = _PID_TEXT.search(event.about)
        receiver = self.by_pid.get(found[1]) if found else None
        if receiver is not None:
            self.lanes[receiver].untaken.append(at)

    def message(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        found = _PID_TEXT.search(event.about)
        sender = self.by_pid.get(found[1]) if found else None
        if sender is None:
            return
        after = self.log[at + 1] if at + 1 < len(self.log) else None
        if after is not None and after.actor == sender and after.what == "call":
            self.link(at + 1, at, "message")  # told after what it caused
        else:
            self.link(self.lanes[sender].last, at, "message")

    def event(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        found = _PID.search(event.data)
        origin = self.by_pid.get(found[1].decode()) if found else None
        if origin is not None:
            self.link(self.lanes[origin].last, at, "event")
        if b"injected fault" in event.data:
            self.link(self.fault, at, "fault")

    def issue(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        name, _, rest = event.about.partition(" ")
        number = rest.partition(" ")[0]  # a line may follow
        lane.issues[number] = at
        arguments = decoded(event.data)
        if name.startswith("funcs.") and isinstance(arguments, list):
            for item in arguments:
                if isinstance(item, str) and ":" in item:
                    self.calls.setdefault(item, []).append((event.actor, number, at))
                    break
        self.share(at, name, arguments, issued=True)

    def answer(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        issued = lane.issues.pop(event.about, -1)
        self.link(lane.pending.pop(event.about, -1), at, "return")
        if issued >= 0:
            begun = self.log[issued]
            self.share(at, begun.about.partition(" ")[0], decoded(begun.data), issued=False)

    def call(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        arguments = decoded(event.data)
        name = event.about.partition(" ")[0]
        self.share(at, name, arguments, issued=True)
        self.share(at, name, arguments, issued=False)

    def exit(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        caller = self.callers.pop(event.actor, None)
        if caller is not None:
            self.lanes[caller[0]].pending[caller[1]] = at

    def struck(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        self.fault = at
        if event.about.startswith("message_"):
            self.deliveries.append(at)
        place = event.about.partition(" at ")[2].rpartition(" #")[0]
        after = self.log[at + 1] if at + 1 < len(self.log) else None
        if after is not None and place and place in after.actor:
            self.link(at, at + 1, "fault")

    def failure(self, at: int, event: TraceEvent, lane: _Lane) -> None:
        """An invariant looks after a step; what anybody does not get any more concerns all; else the scenario's."""
        kind = event.about.partition(":")[0]
        if kind == "invariant":
            self.link(at - 1, at, "failure")
            return
        for name, other in self.lanes.items():
            if other is lane or "|" not in name:
                continue
            stays = kind in {"deadlock", "timeout", "leak", "service"} and self.log[other.last].what != "exit"
            if stays or self.is_last(other, at):
                self.link(other.last, at, "failure")
        if kind in {"deadlock", "timeout", "leak", "service"}:
            self.link(self.fault, at, "fault")

    def is_last(self, lane: _Lane, at: int) -> bool:
        """Whether nobody but the world came between the lane's last event and `at`."""
        return all(self.log[other].actor == "world" for other in range(lane.last + 1, at))

    def share(self, at: int, name: str, arguments: Any, *, issued: bool) -> None:
        """A read follows the last write; a write is done once it is answered."""
        area = name.partition(".")[0]
        if area not in _SHARING or not isinstance(arguments, list) or not arguments:
            return
        if not isinstance(arguments[0], str) or name == f"{area}.get":  # that only opens it
            return
        writes = self.writes.setdefault((area, arguments[0]), {})
        keyed = area == "store" and len(arguments) > 1 and isinstance(arguments[1], str) and not name.endswith(".list")
        key = str(arguments[1]) if keyed else self.log[at].actor
        if not issued:
            if not _READS.search(name) and not _is_select(area, arguments):
                writes.pop(key, None)
                writes[key] = at
        elif keyed:
            self.link(writes.get(key, -1), at, "shared")
        else:
            for written in list(writes.values())[-_MOST_WRITES:]:
                self.link(written, at, "shared")


def _is_select(area: str, arguments: Sequence[Any]) -> bool:
    return area == "sql" and any(
        isinstance(item, str) and item.lstrip()[:6].upper() == "SELECT" for item in arguments[1:2]
    )


def find_links(log: Sequence[TraceEvent]) -> list[Link]:
    """The links between actors, in the order of their targets' telling.

    Args:
        log: events of a life (`Life.log`), whole or from some event on.
    """
    reader = _Reader(log)
    reader.read()
    return reader.links


def spans_of(log: Sequence[TraceEvent]) -> list[tuple[int, int]]:
    """Operations as (position of `issue`, position of `answer`)."""
    under_way: dict[tuple[str, str], int] = {}
    spans = []
    for at, event in enumerate(log):
        if event.what == "issue":
            under_way[event.actor, event.about.split(" ")[1]] = at
        elif event.what == "answer":
            begun = under_way.pop((event.actor, event.about), None)
            if begun is not None:
                spans.append((begun, at))
    return spans


def cone_of(log: Sequence[TraceEvent], links: Iterable[Link], target: int) -> frozenset[int]:
    """Positions of all events that led to `target`, itself among them: its causal past."""
    causes: dict[int, list[int]] = {}
    last: dict[str, int] = {}
    for at, event in enumerate(log):
        if event.actor in last and not event.actor.startswith("world"):
            causes.setdefault(at, []).append(last[event.actor])
        last[event.actor] = at
    for link in links:
        causes.setdefault(link.target, []).append(link.source)
    return _reached(causes, target)


def _reached(causes: Mapping[int, Sequence[int]], target: int) -> frozenset[int]:
    seen, left = {target}, [target]
    while left:
        for cause in causes.get(left.pop(), ()):
            if cause not in seen:
                seen.add(cause)
                left.append(cause)
    return frozenset(seen)
