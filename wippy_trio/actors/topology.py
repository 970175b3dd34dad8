"""Who runs, who watches whom, who is called what: PIDs, links, monitors and names of a node.

An ending turns into events: EXIT to every monitor, LINK_DOWN to every link when it ended with an error. Source: docs
concepts/process-model, lua/core/process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from sandbox.values import pack, unpack
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from determinism.seams import Clock

__all__ = ["CANCEL", "EXIT", "LINK_DOWN", "Participant", "Topology"]

CANCEL, EXIT, LINK_DOWN = "pid.cancel", "pid.exit", "pid.link.down"
Watcher = Callable[[str, Any, LuaError | None], None]


class Participant(Protocol):
    """Something with a PID that messages and events can be handed to."""

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        """0 = taken, 1 = gone, 2 = mailbox full."""

    def event_now(self, event: dict[str, Any]) -> None: ...
    def terminate_now(self, error: LuaError) -> None: ...


@runtime_checkable
class Bounded(Protocol):
    """A participant whose mailbox may be full."""

    async def wait_room(self) -> None:
        """Returns when there may be room, or nobody is left to have any."""


@attrs.define(slots=True, eq=False)
class _Relations:
    links: dict[str, None] = attrs.field(factory=dict)
    monitors: dict[str, None] = attrs.field(factory=dict)  # who watches it
    watching: dict[str, None] = attrs.field(factory=dict)  # whom it watches
    watchers: list[Watcher] = attrs.field(factory=list)
    names: dict[str, None] = attrs.field(factory=dict)


class Topology:
    """PIDs, relations and names of one node.

    Args:
        clock: stamps events with `at`, Unix time in seconds; without it they have none.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._live: dict[str, Participant] = {}
        self._relations: dict[str, _Relations] = {}
        self._names: dict[str, str] = {}

    # life ------------------------------------------------------------------------------------------------------
    def enter(self, pid: str, participant: Participant) -> None:
        """A process begins."""
        self._live[pid] = participant

    def find(self, pid: str) -> Participant | None:
        """The live process of that PID."""
        return self._live.get(pid)

    def leave(self, pid: str, value: Any, error: LuaError | None) -> None:
        """A process ended: tell whoever asked to know, drop its names. `value` is its result."""
        self._live.pop(pid, None)
        relations = self._relations.pop(pid, None)
        if relations is None:
            return
        for name in relations.names:
            self._names.pop(name, None)
        for other in relations.watching:
            known = self._relations.get(other)
            if known is not None:
                known.monitors.pop(pid, None)
        result = {"error": error} if error is not None else {"value": value}
        for other in relations.links:
            known = self._relations.get(other)
            if known is not None:
                known.links.pop(pid, None)
        for watcher in relations.monitors:
            known = self._relations.get(watcher)
            if known is not None:
                known.watching.pop(pid, None)
            self._notify(watcher, {"kind": EXIT, "from": pid, "result": result})
        if error is not None:
            for other in relations.links:
                self._notify(other, {"kind": LINK_DOWN, "from": pid, "result": result})
        for tell in relations.watchers:
            tell(pid, value, error)

    def _notify(self, pid: str, event: dict[str, Any]) -> None:
        participant = self._live.get(pid)
        if participant is not None:
            if self._clock is not None:
                event["at"] = self._clock.wall_ns() // 1_000_000_000
            participant.event_now(event)

    def _of(self, pid: str) -> _Relations:
        found = self._relations.get(pid)
        if found is None:
            found = self._relations[pid] = _Relations()
        return found

    def _require(self, pid: str) -> None:
        if pid not in self._live:
            message = f"pid not registered: {pid}"
            raise NotFoundError(message)

    # relations -------------------------------------------------------------------------------------------------
    def monitor(self, watcher: str, target: str) -> None:
        """`watcher` gets EXIT when `target` ends.

        Raises:
            NotFoundError: target does not run.
            AlreadyExistsError: it is monitored by the watcher already.
        """
        self._require(target)
        if watcher in self._of(target).monitors:
            message = f"already monitoring pid: {target}"
            raise AlreadyExistsError(message)
        self._of(target).monitors[watcher] = None
        self._of(watcher).watching[target] = None

    def monitors(self, watcher: str, target: str) -> bool:
        """Whether the one watches the other."""
        known = self._relations.get(target)
        return known is not None and watcher in known.monitors

    def unmonitor(self, watcher: str, target: str) -> None:
        """Stop watching; no error when there was no watch."""
        watched, watching = self._relations.get(target), self._relations.get(watcher)
        if watched is not None:
            watched.monitors.pop(watcher, None)
        if watching is not None:
            watching.watching.pop(target, None)

    def link(self, one: str, other: str) -> None:
        """Each gets LINK_DOWN (or dies with the other) when the other ends with an error; idempotent.

        Raises:
            NotFoundError: one of the two does not run.
        """
        self._require(other)
        self._require(one)
        self._of(one).links[other] = None
        self._of(other).links[one] = None

    def unlink(self, one: str, other: str) -> None:
        """Remove a link; no error when there was none."""
        for known, key in ((self._relations.get(one), other), (self._relations.get(other), one)):
            if known is not None:
                known.links.pop(key, None)

    def watch(self, pid: str, tell: Watcher) -> None:
        """Call `tell(pid, value, error)` when the process ends (for the runtime's own tasks).

        Raises:
            NotFoundError: it does not run.
        """
        self._require(pid)
        self._of(pid).watchers.append(tell)

    # names -----------------------------------------------------------------------------------------------------
    def register(self, name: str, pid: str) -> None:
        """Bind a name on this node.

        Raises:
            InvalidError: empty name, or a name that looks like a PID.
            NotFoundError: the process does not run.
            AlreadyExistsError: another live process holds it (details.existing_pid).
        """
        if not name or name.startswith("{"):
            message = f"invalid process name {name!r}"
            raise InvalidError(message)
        self._require(pid)
        holder = self._names.get(name)
        if holder is not None and holder != pid:
            message = f"name already registered: {name}"
            raise AlreadyExistsError(message, details={"existing_pid": holder})
        self._names[name] = pid
        self._of(pid).names[name] = None

    def lookup(self, name: str) -> str | None:
        """The PID that holds a name."""
        return self._names.get(name)

    def unregister(self, name: str) -> bool:
        """Free a name; False when nobody held it."""
        pid = self._names.pop(name, None)
        if pid is None:
            return False
        known = self._relations.get(pid)
        if known is not None:
            known.names.pop(name, None)
        return True

    def resolve(self, destination: str) -> str:
        """A PID's text, or the PID that holds the name.

        Raises:
            NotFoundError: no process holds the name.
        """
        if destination.startswith("{"):
            return destination
        pid = self._names.get(destination)
        if pid is None:
            message = f"could not resolve: {destination}"
            raise NotFoundError(message)
        return pid

    # messages --------------------------------------------------------------------------------------------------
    def send(self, destination: str, topic: str, source: str, data: bytes) -> None:
        """Hand a message (payloads encoded as one list) to a process.

        Raises:
            NotFoundError: an unknown name, or a PID of this node that is gone (tests/app process/cancel_delivery).
            UnavailableError: the mailbox is full (retryable).
        """
        if not self.offer(destination, topic, source, data):
            message = f"mailbox is full: {destination}"
            raise UnavailableError(message)

    def offer(self, destination: str, topic: str, source: str, data: bytes) -> bool:
        """Like `send`; False when the mailbox is full."""
        participant = self._live.get(self.resolve(destination))
        state = 1 if participant is None else participant.deliver_now(topic, source, data)
        if state == 1:
            message = f"process not found: {destination}"
            raise NotFoundError(message)
        return state == 0

    async def send_waiting(self, destination: str, topic: str, source: str, data: bytes) -> None:
        """Like `send`, waiting for room while the mailbox is full.

        Raises:
            NotFoundError: as `send`, also when the process ends meanwhile.
            UnavailableError: the mailbox is full and the sender's own: it would wait for itself.
        """
        while not self.offer(destination, topic, source, data):
            pid = self.resolve(destination)
            full: object = self._live.get(pid)
            if pid == source or not isinstance(full, Bounded):
                message = f"mailbox is full: {destination}"
                raise UnavailableError(message)
            await full.wait_room()

    def is_watched(self, pid: str) -> bool:
        """Whether somebody will be told what the process ends with."""
        relations = self._relations.get(pid)
        return relations is not None and bool(relations.monitors or relations.watchers)

    def cancel(self, target: str, source: str, reason: str) -> None:
        """Ask a process to stop: it gets a CANCEL event."""
        self._notify(target, {"kind": CANCEL, "from": source, "reason": reason})

    def relations(self, pid: str) -> dict[str, list[str]]:
        """PIDs it is linked with, is monitored by and monitors, and the names it holds."""
        known = self._relations.get(pid) or _Relations()
        return {
            "links": list(known.links),
            "monitored_by": list(known.monitors),
            "monitors": list(known.watching),
            "names": list(known.names),
        }

    def pids(self) -> list[str]:
        """PIDs of all that run, in order of their start."""
        return list(self._live)


def result_of(data: bytes, *, ok: bool) -> tuple[Any, LuaError | None]:
    """An outcome's bytes as (value, error). An encoded message is one list; a bare value is itself."""
    values = unpack(data)
    value = values[0] if isinstance(values, list) and values else None
    if ok:
        return value, None
    return None, value if isinstance(value, LuaError) else LuaError(str(value), kind="Internal")


def error_data(error: LuaError) -> bytes:
    """An error as an outcome's bytes."""
    return pack([error])
