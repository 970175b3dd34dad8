"""Activations of Temporal's core as events of the step machine. Source: ours; docs temporal/workflows.

In one activation versions come first, then messages and updates, then the rest, as the SDKs have it; queries are no
events and are answered last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from temporalio.api.enums.v1 import ContinueAsNewInitiator
from temporalio.bridge.proto.workflow_activation import InitializeWorkflow, WorkflowActivation
from temporalio.workflow import Info

from sandbox.errors import KINDS
from sandbox.values import pack_list
from wippy_trio.core.ids import Pid
from wippy_trio.workflows.temporal_convert import context_of, failure_of, pack_payloads, source_of, value_of
from wippy_trio.workflows.wire import (
    ActivityResolved,
    CancelRequested,
    ChildResolved,
    ChildStarted,
    Event,
    ExternalResolved,
    Failure,
    PatchKnown,
    SignalReceived,
    Started,
    TimerFired,
    UpdateReceived,
)

__all__ = ["Pending", "Place", "events_of", "patch_id"]

_CONTINUED = {
    ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW: "continue_as_new",
    ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY: "retry",
    ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE: "cron",
}
_NIL = pack_list([None])


@attrs.frozen(slots=True)
class Place:
    """Where a run happens: ids of the entries of its client and worker, and of its own."""

    client: str
    worker: str
    entry: str

    def pid(self, workflow_id: str) -> str:
        """PID of a workflow of this worker; node and host as the original has them."""
        return str(Pid(self.client, self.worker, workflow_id))


@attrs.define(slots=True)
class Pending:
    """What an instance remembers between activations.

    Attributes:
        externals: numbers of the runtime's own activities: their end is an `ExternalResolved`.
        children: PIDs of children by number.
        startup: messages for children that have not started yet, by number.
        updates: core's name of an update by its id.
    """

    externals: set[int] = attrs.field(factory=set)
    children: dict[int, str] = attrs.field(factory=dict)
    startup: dict[int, list[tuple[str, bytes]]] = attrs.field(factory=dict)
    updates: dict[str, str] = attrs.field(factory=dict)


def patch_id(change_id: str, version: int) -> str:
    """A version as the id of a patch: Temporal's markers know a change only as there or not."""
    return f"{change_id}:{version}"


def events_of(activation: WorkflowActivation, info: Info, place: Place, pending: Pending) -> list[Event]:
    """The events of an activation, in the order the machine is told them."""
    versions: list[Event] = []
    messages: list[Event] = []
    rest: list[Event] = []
    for job in activation.jobs:
        which = job.WhichOneof("variant")
        if which is None or which in {"query_workflow", "remove_from_cache"}:
            continue
        body = getattr(job, which)
        if which == "notify_has_patch":
            versions.extend(_version(body.patch_id))
        elif which == "signal_workflow":
            payloads = pack_payloads(body.input)
            messages.append(SignalReceived(body.signal_name, payloads, source_of(body.headers)))
        elif which == "do_update":
            pending.updates[body.id] = body.protocol_instance_id
            messages.append(UpdateReceived(body.id, body.name, pack_payloads(body.input)))
        elif which == "initialize_workflow":
            rest.append(_started(body, info, place))
        else:
            rest.extend(_event(which, body, pending))
    return [*versions, *messages, *rest]


def _version(text: str) -> Iterable[Event]:
    change_id, _, version = text.rpartition(":")
    if change_id and version.lstrip("-").isdigit():
        yield PatchKnown(change_id, int(version))


def _started(body: InitializeWorkflow, info: Info, place: Place) -> Event:
    context = context_of(body.headers)
    parent = body.parent_workflow_info.workflow_id if body.HasField("parent_workflow_info") else ""
    seed = body.randomness_seed.to_bytes(8, "little") + info.workflow_id.encode()[:48].ljust(8, b"\0")
    continued = body.continued_from_execution_run_id
    return Started(
        info.workflow_id,
        info.run_id,
        info.workflow_type,
        place.entry,
        place.pid(info.workflow_id),
        place.worker,
        seed,
        pack_payloads(body.arguments),
        context,
        task_queue=info.task_queue,
        namespace=info.namespace,
        parent=place.pid(parent) if parent else "",
        first_run_id=info.first_execution_run_id,
        continued=_CONTINUED.get(body.continued_initiator, "continue_as_new") if continued else "",
        attempt=info.attempt,
    )


def _event(which: str, body: Any, pending: Pending) -> Iterable[Event]:
    if which == "fire_timer":
        yield TimerFired(body.seq)
    elif which == "resolve_activity":
        result, failure = _resolution(body.result)
        if body.seq in pending.externals:
            pending.externals.discard(body.seq)
            yield ExternalResolved(body.seq, _without_wrapper(failure))
        else:
            yield ActivityResolved(body.seq, result, failure)
    elif which == "resolve_child_workflow_execution_start":
        yield _child_started(body, pending)
    elif which == "resolve_child_workflow_execution":
        result, failure = _resolution(body.result)
        pending.children.pop(body.seq, None)
        yield ChildResolved(body.seq, result, failure)
    elif which == "cancel_workflow":
        yield CancelRequested(body.reason)
    elif which in {"resolve_signal_external_workflow", "resolve_request_cancel_external_workflow"}:
        yield ExternalResolved(body.seq, _external(body.failure) if body.HasField("failure") else None)
    # What is left is not used by our commands (Nexus), or needs no event (a new random seed after a reset: what is
    # drawn goes on from the old one, in the new run as in the old).


def _resolution(result: Any) -> tuple[bytes, Failure | None]:
    which = result.WhichOneof("status")
    if which == "completed":
        body = result.completed
        return (pack_list([value_of(body.result)]) if body.HasField("result") else _NIL), None
    if which in {"failed", "cancelled"}:
        return _NIL, failure_of(getattr(result, which).failure)
    return _NIL, Failure("the attempt is to be repeated", KINDS["UNAVAILABLE"], retryable=True)


def _without_wrapper(failure: Failure | None) -> Failure | None:
    """An error of another, without the traces of the activity that carried it."""
    if failure is None or not failure.details:
        return failure
    details = {key: value for key, value in failure.details.items() if not key.startswith("_")}
    return attrs.evolve(failure, details=details or None)


def _child_started(body: Any, pending: Pending) -> Event:
    which = body.WhichOneof("status")
    if which == "succeeded":
        return ChildStarted(body.seq, pending.children.get(body.seq, ""))
    pending.children.pop(body.seq, None)
    if which == "failed":  # the one cause there is: the id is taken
        message = f"child workflow already started: {body.failed.workflow_id}"
        return ChildStarted(body.seq, failure=Failure(message, KINDS["ALREADY_EXISTS"], retryable=False))
    return ChildStarted(body.seq, failure=failure_of(body.cancelled.failure))


def _external(wire: Any) -> Failure:
    failure = failure_of(wire)
    if "not found" in wire.message.lower():
        return Failure(wire.message, KINDS["NOT_FOUND"], retryable=False)
    return failure
