"""A change of a run in the making: the records of some events and of what the run wanted after each. Source: ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from sandbox.values import pack, unpack
from wippy_trio.workflows import wire
from wippy_trio.workflows.history import Change, Closing, NewRun, Pending, Record, Status
from wippy_trio.workflows.live import LiveRun
from wippy_trio.workflows.wire import Command, Event

__all__ = ["Draft"]

_EXTERNAL = (wire.SignalExternal, wire.CancelExternal, wire.TerminateExternal)
_ENDS = (wire.Complete, wire.Fail, wire.ContinueAsNew)
_ANSWERS = (
    wire.TimerFired,
    wire.ActivityResolved,
    wire.ChildStarted,
    wire.ChildResolved,
    wire.ExternalResolved,
)


class Draft:
    """What one append will hold. It changes the run's counters and pendings in memory as it grows.

    Args:
        run: the run.
        now_ns: time of its records.
    """

    def __init__(self, run: LiveRun, now_ns: int) -> None:
        self.run = run
        self.now_ns = now_ns
        self.expected_length = run.length
        self.records: list[Record] = []
        self.commands: list[Command] = []
        self.taken: list[int] = []
        self.end: Command | Event | None = None
        #: Whether the run takes its first step, some time after it was created.
        self.begins_late = False
        self._add: dict[int, Pending] = {}
        self._drop: dict[int, None] = {}
        self._memo: dict[str, Any] | None = None
        self._search: dict[str, Any] | None = None

    def record(self, message: Event | Command) -> None:
        """One more record."""
        data = wire.encode(message)
        self.records.append(Record(self.now_ns, data))
        self.run.length += 1
        self.run.size_bytes += len(data)

    def stale(self, event: Event) -> bool:
        """Whether an answer is to something that the run does not wait for any more."""
        return isinstance(event, _ANSWERS) and event.seq not in self.run.pending

    def event(self, event: Event) -> None:
        """An event is recorded, and with it what it settles."""
        self.record(event)
        if isinstance(event, wire.ChildStarted) and event.failure is None:
            waiting = self.run.pending[event.seq]
            self.wait_for(attrs.evolve(waiting, attempts_count=1))
        elif isinstance(event, _ANSWERS):
            self.settle(event.seq)
        elif isinstance(event, wire.Started):
            self.begins_late = 0 in self.run.pending
            self.settle(0)
        elif isinstance(event, wire.Terminated | wire.TimedOut):
            self.end = event

    def command(self, command: Command) -> None:
        """A command is recorded, and with it what the run waits for."""
        self.record(command)
        self.commands.append(command)
        if isinstance(command, wire.StartTimer):
            due_ns = self.now_ns + command.delay_ns
            self.wait_for(Pending(command.seq, "timer", due_ns, self.now_ns))
        elif isinstance(command, wire.ScheduleActivity):
            self.wait_for(Pending(command.seq, "activity", 0, self.now_ns, 1, wire.encode(command)))
        elif isinstance(command, wire.StartChild):
            self.wait_for(Pending(command.seq, "child", 0, self.now_ns, 0, wire.encode(command)))
        elif isinstance(command, _EXTERNAL):
            self.wait_for(Pending(command.seq, "external", 0, self.now_ns, 0, wire.encode(command)))
        elif isinstance(command, wire.SendMessage):
            self.wait_for(Pending(command.seq, "message", 0, self.now_ns, 0, wire.encode(command)))
        elif isinstance(command, wire.CancelTimer) or (isinstance(command, wire.CancelActivity) and not command.wait):
            self.settle(command.seq)
        elif isinstance(command, wire.UpsertAttributes):
            self._memo = _merged(self._memo, self.run.info.memo, command.memo)
            self._search = _merged(self._search, self.run.info.search, command.search)
        elif isinstance(command, _ENDS):
            self.end = command

    def wait_for(self, pending: Pending) -> None:
        """The run waits for something."""
        self.run.pending[pending.seq] = pending
        self._add[pending.seq] = pending
        self._drop.pop(pending.seq, None)

    def settle(self, seq: int) -> None:
        """The run waits for it no more."""
        if self.run.pending.pop(seq, None) is not None:
            self._add.pop(seq, None)
            self._drop[seq] = None

    @property
    def added(self) -> Sequence[Pending]:
        """What the run waits for since this draft began."""
        return list(self._add.values())

    def new(self, expected: str, closing: Closing | None) -> NewRun:
        """The creation of the run with all that is in the draft."""
        change = self.change(closing)
        waits = list(self.run.pending.values())
        return NewRun(self.run.info, change.records, waits, expected, closing)

    def change(self, closing: Closing | None) -> Change:
        """The append."""
        memo = None if self._memo is None else pack(self._memo)
        search = None if self._search is None else pack(self._search)
        info = self.run.info
        self.run.info = attrs.evolve(info, memo=memo or info.memo, search=search or info.search)
        return Change(
            info.run_id,
            self.expected_length,
            self.records,
            list(self._add.values()),
            list(self._drop),
            memo,
            search,
            self.taken,
            closing,
            closing is not None and closing.status not in {Status.TERMINATED, Status.TIMED_OUT},
        )


def _merged(known: dict[str, Any] | None, stored: bytes, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Attributes after an upsert; a nil removes. None = nothing was said."""
    if given is None:
        return known
    base = known if known is not None else (unpack(stored) if stored else {})
    merged = {**base, **given}
    return {key: merged[key] for key in sorted(merged) if merged[key] is not None}
