"""What a workflow wants done: commands out. See `wire.py`. Source: ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from wippy_trio.workflows.options import ActivityOptions, WorkflowOptions
from wippy_trio.workflows.wire_events import NIL, NONE, Context, Failure

__all__ = [
    "CancelActivity",
    "CancelChild",
    "CancelExternal",
    "CancelTimer",
    "Command",
    "Complete",
    "ContinueAsNew",
    "Fail",
    "RecordVersion",
    "ScheduleActivity",
    "SendMessage",
    "SignalExternal",
    "StartChild",
    "StartTimer",
    "TerminateExternal",
    "UpdateAccept",
    "UpdateComplete",
    "UpdateReject",
    "UpsertAttributes",
]

_ACTIVITY, _WORKFLOW = ActivityOptions(), WorkflowOptions()


def _line() -> Any:
    return attrs.field(default="", eq=False, kw_only=True)


class Command:
    """Something that a workflow wants done."""

    __slots__ = ()
    kind: ClassVar[str]


@attrs.frozen(slots=True)
class ScheduleActivity(Command):
    """Run a function outside; answered by `ActivityResolved`. `context` None: the workflow's own."""

    kind: ClassVar[str] = "schedule_activity"
    seq: int
    name: str
    args: bytes = NONE
    options: ActivityOptions = _ACTIVITY
    context: Context | None = None
    line: str = _line()


@attrs.frozen(slots=True)
class CancelActivity(Command):
    """Nobody waits for it any more. With `wait` the workflow does, and is answered when it has ended."""

    kind: ClassVar[str] = "cancel_activity"
    seq: int
    wait: bool = False
    line: str = _line()


@attrs.frozen(slots=True)
class StartTimer(Command):
    """Answered by `TimerFired` after `delay_ns`."""

    kind: ClassVar[str] = "start_timer"
    seq: int
    delay_ns: int
    line: str = _line()


@attrs.frozen(slots=True)
class CancelTimer(Command):
    """The timer does not fire."""

    kind: ClassVar[str] = "cancel_timer"
    seq: int
    line: str = _line()


@attrs.frozen(slots=True)
class StartChild(Command):
    """Start a child workflow; answered by `ChildStarted`, and by `ChildResolved` when it closes.

    `name` is the id of its entry or its type, `host` the worker or task queue asked for, `messages` encoded pairs of
    topic and payloads for its start.
    """

    kind: ClassVar[str] = "start_child"
    seq: int
    workflow_id: str
    name: str
    host: str = ""
    args: bytes = NONE
    options: WorkflowOptions = _WORKFLOW
    context: Context | None = None
    messages: bytes = NONE
    line: str = _line()


@attrs.frozen(slots=True)
class CancelChild(Command):
    """Ask a child of this run to stop."""

    kind: ClassVar[str] = "cancel_child"
    seq: int
    line: str = _line()


@attrs.frozen(slots=True)
class SignalExternal(Command):
    """Send to another workflow of the same worker; answered by `ExternalResolved`."""

    kind: ClassVar[str] = "signal_external"
    seq: int
    workflow_id: str
    topic: str
    payloads: bytes = NONE
    line: str = _line()


@attrs.frozen(slots=True)
class CancelExternal(Command):
    """Ask a process or workflow to stop; answered by `ExternalResolved`."""

    kind: ClassVar[str] = "cancel_external"
    seq: int
    pid: str
    workflow_id: str
    reason: str = ""
    line: str = _line()


@attrs.frozen(slots=True)
class TerminateExternal(Command):
    """End a process or workflow; answered by `ExternalResolved`."""

    kind: ClassVar[str] = "terminate_external"
    seq: int
    pid: str
    workflow_id: str
    line: str = _line()


@attrs.frozen(slots=True)
class SendMessage(Command):
    """Send to a process that is no workflow of this worker, or to a name; the code does not wait for an answer."""

    kind: ClassVar[str] = "send_message"
    seq: int
    destination: str
    topic: str
    payloads: bytes = NONE
    line: str = _line()


@attrs.frozen(slots=True)
class RecordVersion(Command):
    """The run decided for a version of a change."""

    kind: ClassVar[str] = "record_version"
    change_id: str
    version: int
    line: str = _line()


@attrs.frozen(slots=True)
class UpsertAttributes(Command):
    """Search attributes and memo; None leaves them, a value of None removes."""

    kind: ClassVar[str] = "upsert_attributes"
    search: Mapping[str, Any] | None = attrs.field(default=None)
    memo: Mapping[str, Any] | None = attrs.field(default=None)
    line: str = _line()


@attrs.frozen(slots=True)
class UpdateAccept(Command):
    """An update is taken."""

    kind: ClassVar[str] = "update_accept"
    id: str
    line: str = _line()


@attrs.frozen(slots=True)
class UpdateReject(Command):
    """An update is refused."""

    kind: ClassVar[str] = "update_reject"
    id: str
    failure: Failure
    line: str = _line()


@attrs.frozen(slots=True)
class UpdateComplete(Command):
    """An accepted update is answered."""

    kind: ClassVar[str] = "update_complete"
    id: str
    result: bytes = NIL
    failure: Failure | None = None
    line: str = _line()


@attrs.frozen(slots=True)
class ContinueAsNew(Command):
    """The run ends, and the workflow goes on with a new one. `name` is the id of the entry that runs then."""

    kind: ClassVar[str] = "continue_as_new"
    name: str
    args: bytes = NONE
    line: str = _line()


@attrs.frozen(slots=True)
class Complete(Command):
    """The workflow returned."""

    kind: ClassVar[str] = "complete"
    result: bytes = NIL
    line: str = _line()


@attrs.frozen(slots=True)
class Fail(Command):
    """The workflow failed."""

    kind: ClassVar[str] = "fail"
    failure: Failure
    line: str = _line()
