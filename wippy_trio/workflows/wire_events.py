"""What a workflow is told: events in, and the values they share with commands. See `wire.py`. Source: ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from sandbox.errors import LuaError
from sandbox.values import pack_list
from wippy_trio.workflows.options import WorkflowOptions

__all__ = [
    "NIL",
    "NONE",
    "ActivityResolved",
    "CancelRequested",
    "ChildResolved",
    "ChildStarted",
    "Context",
    "Event",
    "ExternalResolved",
    "Failure",
    "PatchKnown",
    "SignalReceived",
    "Started",
    "Terminated",
    "TimedOut",
    "TimerFired",
    "UpdateReceived",
]

#: Encoded: a list of one nil, and the empty list.
NIL, NONE = pack_list([None]), pack_list([])


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value[key] for key in sorted(value)}


def _texts(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _texts_or_none(value: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


@attrs.frozen(slots=True)
class Failure:
    """An error as it is recorded: what Lua's error objects have."""

    message: str
    kind: str = ""
    retryable: bool | None = None
    details: Mapping[str, Any] | None = None
    stack: str = ""
    context: tuple[str, ...] = attrs.field(default=(), converter=_texts)

    @classmethod
    def of(cls, error: LuaError) -> Failure:
        """The record of an error."""
        details = dict(error.details) if error.details else None
        return cls(error.message, error.kind, error.retryable, details, error.stack, tuple(error.context))

    def error(self) -> LuaError:
        """The error again."""
        return LuaError(
            self.message,
            kind=self.kind,
            retryable=self.retryable,
            details=self.details,
            stack=self.stack,
            context=self.context,
        )


@attrs.frozen(slots=True)
class Context:
    """What code inherits from whoever started it.

    Attributes:
        values: context values (`ctx.get`).
        actor: `{id, meta}` of the security actor, or None.
        policies: ids of the policies of its scope, or None without a scope.
    """

    values: Mapping[str, Any] = attrs.field(factory=dict, converter=_plain)
    actor: Mapping[str, Any] | None = None
    policies: tuple[str, ...] | None = attrs.field(default=None, converter=_texts_or_none)


class Event:
    """Something that happened and that a workflow is told."""

    __slots__ = ()
    kind: ClassVar[str]


_NO_CONTEXT, _NO_OPTIONS = Context(), WorkflowOptions()


@attrs.frozen(slots=True)
class Started(Event):
    """The first event of a run.

    Attributes:
        workflow_id, run_id: names of the workflow and of this run.
        name: workflow type (`meta.temporal.workflow.name`, or the entry's id).
        entry: id of the entry that runs.
        pid: text of its PID, the same for all runs of the workflow.
        worker: id of the entry that hosts it.
        seed: of everything random in the run; at least 16 bytes.
        input: arguments, an encoded list.
        context: values and identity.
        options: as it was started, with all that later runs inherit.
        parent: PID of the workflow whose child it is, or empty.
        first_run_id: of the chain of runs this one continues (its own id for the first).
        continued: how it follows the run before it: "", "continue_as_new", "retry" or "cron".
        attempt: 1, and more after retries of the whole run.
        zone: IANA name of the local time zone.
    """

    kind: ClassVar[str] = "started"
    workflow_id: str
    run_id: str
    name: str
    entry: str
    pid: str
    worker: str
    seed: bytes
    input: bytes = NONE
    context: Context = _NO_CONTEXT
    options: WorkflowOptions = _NO_OPTIONS
    task_queue: str = ""
    namespace: str = ""
    parent: str = ""
    first_run_id: str = ""
    continued: str = ""
    attempt: int = 1
    zone: str = "UTC"


@attrs.frozen(slots=True)
class ActivityResolved(Event):
    """An activity ended: `result` (an encoded list of one), or `failure` (kind Canceled when it was cancelled)."""

    kind: ClassVar[str] = "activity_resolved"
    seq: int
    result: bytes = NIL
    failure: Failure | None = None


@attrs.frozen(slots=True)
class TimerFired(Event):
    """A timer came due."""

    kind: ClassVar[str] = "timer_fired"
    seq: int


@attrs.frozen(slots=True)
class SignalReceived(Event):
    """A message: `name` is its topic, `source` the PID of who sent it (or empty).

    `id` is set where a workflow sent it: the sender's run and the number it has there. It keeps a message that is sent
    again after a restart from arriving twice.
    """

    kind: ClassVar[str] = "signal_received"
    name: str
    payloads: bytes = NONE
    source: str = ""
    id: str = ""


@attrs.frozen(slots=True)
class UpdateReceived(Event):
    """A request that the workflow accepts or rejects, and answers."""

    kind: ClassVar[str] = "update_received"
    id: str
    name: str
    payloads: bytes = NONE


@attrs.frozen(slots=True)
class CancelRequested(Event):
    """The workflow is asked to stop."""

    kind: ClassVar[str] = "cancel_requested"
    reason: str = ""
    source: str = ""


@attrs.frozen(slots=True)
class ChildStarted(Event):
    """A child runs under `pid`, or did not start."""

    kind: ClassVar[str] = "child_started"
    seq: int
    pid: str = ""
    failure: Failure | None = None


@attrs.frozen(slots=True)
class ChildResolved(Event):
    """A child that started has closed."""

    kind: ClassVar[str] = "child_resolved"
    seq: int
    result: bytes = NIL
    failure: Failure | None = None


@attrs.frozen(slots=True)
class ExternalResolved(Event):
    """Answer to `SignalExternal`, `CancelExternal` or `TerminateExternal`: done, or why not."""

    kind: ClassVar[str] = "external_resolved"
    seq: int
    failure: Failure | None = None


@attrs.frozen(slots=True)
class PatchKnown(Event):
    """A version that the record holds; given before the events of a replay, or as the server tells it."""

    kind: ClassVar[str] = "patch_known"
    change_id: str
    version: int


@attrs.frozen(slots=True)
class Terminated(Event):
    """The run was ended from outside; the machine is not told, for it runs no more."""

    kind: ClassVar[str] = "terminated"
    reason: str = ""


@attrs.frozen(slots=True)
class TimedOut(Event):
    """The run took longer than allowed (`which`: run or execution); the machine is not told."""

    kind: ClassVar[str] = "timed_out"
    which: str = "run"
