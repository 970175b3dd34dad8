"""Where workflow runs are recorded: the interface of a history, and what is kept in it.

A run is an append-only list of records (`wire.py`), a header, and what it waits for. One call of `create` or `append`
is one transaction: when it returns, its records are durable. Effects come after that. Source: ours (architecture, 5d).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

import attrs

from wippy_trio.core.errors import ConflictError, LuaError

__all__ = [
    "Change",
    "Claimed",
    "Closing",
    "History",
    "MessagesLeftError",
    "NewRun",
    "Pending",
    "Posted",
    "Record",
    "RunInfo",
    "RunQuery",
    "Status",
]


class MessagesLeftError(ConflictError):
    """A run that would end has to hear of something before."""


class Status(StrEnum):
    """State of a run."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed_out"
    CONTINUED = "continued"


@attrs.frozen(slots=True)
class Record:
    """One record: its time in Unix nanoseconds, and an encoded event or command."""

    at_ns: int
    data: bytes


@attrs.frozen(slots=True)
class Pending:
    """What a run waits for, so that it can be resumed without its records.

    Attributes:
        seq: number of the command, or below 0 for what the engine itself waits for; unique in the run.
        kind: `timer`, `activity`, `child`, `external`, `message`, `start`, `timeout`.
        due_ns: when something is to be done about it (Unix time); 0 = when something happens.
        since_ns: when it was scheduled.
        attempts_count: attempts that were begun.
        data: the encoded command; of a child, its PID, too.
    """

    seq: int
    kind: str
    due_ns: int = 0
    since_ns: int = 0
    attempts_count: int = 0
    data: bytes = b""


@attrs.frozen(slots=True)
class RunInfo:
    """Header of a run.

    Attributes:
        run_id, workflow_id, name, entry, worker, pid: as in its `Started`.
        status: state.
        started_ns, closed_ns: Unix nanoseconds; 0 = not yet.
        length, size_bytes: records and their bytes.
        first_run_id, next_run_id: of the chain it belongs to.
        parent_run_id, parent_seq: the run whose child it is, and the number it has there.
        attempt: of the whole run, from 1.
        memo, search: encoded maps.
        outcome: the encoded record that closed it.
    """

    run_id: str
    workflow_id: str
    name: str
    entry: str
    worker: str
    pid: str
    status: Status = Status.OPEN
    started_ns: int = 0
    closed_ns: int = 0
    length: int = 0
    size_bytes: int = 0
    first_run_id: str = ""
    next_run_id: str = ""
    parent_run_id: str = ""
    parent_seq: int = 0
    attempt: int = 1
    memo: bytes = b""
    search: bytes = b""
    outcome: bytes = b""


@attrs.frozen(slots=True)
class NewRun:
    """A run to be created.

    Attributes:
        info: header; length and size are counted from `records`.
        records: its first records.
        pending: what it waits for.
        expected: id of the workflow's latest run as the creator saw it, which must have closed; empty: there must be
            none. It is not looked at for a successor within a `Change`.
        closing: how it ended, where that is known already.
    """

    info: RunInfo
    records: Sequence[Record]
    pending: Sequence[Pending] = ()
    expected: str = ""
    closing: Closing | None = None


@attrs.frozen(slots=True)
class Closing:
    """The end of a run: state, time, the encoded record that closed it, and the run that follows it."""

    status: Status
    at_ns: int
    outcome: bytes = b""
    successor: NewRun | None = None


@attrs.frozen(slots=True)
class Change:
    """What is appended to an open run at once.

    Attributes:
        run_id: the run.
        expected_length: its records before; another number means that someone else wrote.
        records: to be appended.
        add: what it waits for now; one of a known number replaces it.
        drop: numbers of what it waits for no more.
        memo, search: new encoded maps; None = unchanged.
        taken: numbers of the posted messages that `records` hold.
        closing: how the run ends; drops all that it waits for, and messages left for it.
        heed_left: the run does not end while a message is left for it that no record holds.
    """

    run_id: str
    expected_length: int
    records: Sequence[Record] = ()
    add: Sequence[Pending] = ()
    drop: Sequence[int] = ()
    memo: bytes | None = None
    search: bytes | None = None
    taken: Sequence[int] = ()
    closing: Closing | None = None
    heed_left: bool = False


@attrs.frozen(slots=True)
class Posted:
    """A durable message for a run that this node did not run when it came: `number` is unique and grows."""

    number: int
    run_id: str
    at_ns: int
    data: bytes


@attrs.frozen(slots=True)
class Claimed:
    """An open run that this node runs from now on."""

    info: RunInfo
    pending: Sequence[Pending]


@attrs.frozen(slots=True)
class RunQuery:
    """Which runs are wanted; an empty field does not matter. Newest first."""

    workflow_id: str = ""
    name: str = ""
    status: str = ""
    worker: str = ""
    limit: int = 100
    before_ns: int = 0


class History(Protocol):
    """A history. One owner (node) runs a run: only it may append; `post` is for all others.

    Every writing method raises:
        ConflictError: another owner has taken the run, or it is not as expected; nothing was written.
        MessagesLeftError: a message is left for a run that was to end (`Change.heed_left`); nothing was written.
        UnavailableError: it could not be written. After a failed write nothing more is written (`failed` says why):
            what is in memory is ahead of the record, and only a restart makes sure of it.
    """

    #: Called once, at once, when nothing is written any more.
    on_failed: Callable[[LuaError], None]

    @property
    def failed(self) -> LuaError | None:
        """Why nothing is written any more."""

    @property
    def lease_s(self) -> float:
        """For how long this owner has its runs without renewing; 0 where nobody else can have them."""

    async def create(self, new: NewRun) -> None:
        """Record a new run of this owner's, durably."""

    async def append(self, change: Change) -> None:
        """Append to an open run of this owner's, durably."""

    async def note(self, run_id: str, pending: Pending) -> None:
        """Replace something that an open run waits for (an activity's attempts); no record, durable."""

    async def load(self, run_id: str) -> list[Record]:
        """All records of a run, in order; none for an unknown one."""

    async def run(self, run_id: str) -> RunInfo | None:
        """Header of a run."""

    async def latest(self, workflow_id: str) -> RunInfo | None:
        """Header of the latest run of a workflow."""

    async def pending(self, run_id: str) -> list[Pending]:
        """What an open run waits for, by number."""

    async def claim(self, now_ns: int, limit: int) -> list[Claimed]:
        """Take up to `limit` open runs that nobody owns, or whose owner's lease is over."""

    async def renew(self, now_ns: int, until_ns: int) -> None:
        """Hold this owner's lease until a time.

        Raises:
            ConflictError: others may have taken its runs.
        """

    async def post(self, run_id: str, data: bytes, at_ns: int) -> None:
        """Leave an encoded event for an open run, whoever runs it; durable.

        Raises:
            NotFoundError: no such open run.
        """

    async def posted(self, limit: int) -> list[Posted]:
        """Messages left for runs of this owner's that no record holds yet, in order."""

    async def wait_posted(self) -> None:
        """Wait until another owner may have left a message for a run of this one's; for one caller at a time."""

    async def find(self, query: RunQuery) -> list[RunInfo]:
        """Headers of runs."""

    async def purge(self, closed_before_ns: int, limit: int) -> int:
        """Delete up to `limit` runs that closed before a time; returns how many."""

    async def aclose(self) -> None:
        """Give up the lease and close."""
