"""Messages, updates, versions and facts of a workflow run: see `machine_ops.py`. Source: docs temporal/workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.values import as_text, pack_list
from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.machine_context import target_of
from wippy_trio.workflows.machine_wait import Wait
from wippy_trio.workflows.wire import (
    CancelExternal,
    ContinueAsNew,
    Failure,
    RecordVersion,
    SendMessage,
    SignalExternal,
    TerminateExternal,
    UpdateAccept,
    UpdateComplete,
    UpdateReject,
    UpsertAttributes,
)

if TYPE_CHECKING:
    from wippy_trio.workflows.machine import WorkflowMachine
    from wippy_trio.workflows.machine_shard import Request

__all__ = ["attrs", "cancel", "expose", "external_answered", "info", "send", "terminate", "upgrade", "version"]

_YES = pack_list([True])


def _external(machine: WorkflowMachine, request: Request) -> int:
    return machine.wait(Wait("external", request.command, line=request.line))


def external_answered(machine: WorkflowMachine, wait: Wait, event: Any) -> None:
    """Tell the code how a request to another ended."""
    machine.settled(wait)
    if event.failure is None:
        machine.resolve(wait.command, _YES)
    else:
        machine.reject(wait.command, event.failure.error())


def send(machine: WorkflowMachine, request: Request, destination: str, topic: str, *payloads: Any) -> None:
    """`process.send`: an answer to an update, a message to itself, to a workflow of its worker, or to anyone else."""
    assert machine.started is not None
    data, line = pack_list(payloads), request.line
    pid, target = target_of(destination)
    if target is not None and target.host == "update":
        _answer_update(machine, request, target.unique, topic, payloads)
        return
    machine.require("process.send", pid, "not allowed to send to: {}")
    if pid == machine.started.pid:
        machine.deliver(topic, pid, data)
        machine.resolve(request.command, _YES)
    elif target is not None and target.host in {machine.started.worker, "temporal"}:
        machine.add(SignalExternal(_external(machine, request), target.unique, topic, data, line=line))
    else:
        # Sent at once, as in the original: the code goes on, and what comes of it is not its business.
        machine.seq += 1
        machine.add(SendMessage(machine.seq, pid, topic, data, line=line))
        machine.resolve(request.command, _YES)


def _answer_update(machine: WorkflowMachine, request: Request, id: str, topic: str, payloads: Any) -> None:
    state = machine.updates.get(id)
    if state is None:
        raise NotFoundError(f"update not found: {id}")
    if topic not in {"ack", "nak", "ok", "error"}:
        raise InvalidError(f"unknown update response: {topic} (expected ack/nak/ok/error)")
    if topic in {"ack", "nak"} and state != "pending":
        raise InvalidError(f"update already {state}")
    if topic in {"ok", "error"} and state != "accepted":
        raise InvalidError(f"update not accepted (state: {state})")
    value = payloads[0] if payloads else None
    text = value if isinstance(value, str) else str(value) if value is not None else None
    if topic == "ack":
        machine.updates[id] = "accepted"
        machine.add(UpdateAccept(id, line=request.line))
    else:
        del machine.updates[id]
        if topic == "nak":
            machine.add(UpdateReject(id, Failure(text or "update rejected", "Invalid"), line=request.line))
        elif topic == "ok":
            machine.add(UpdateComplete(id, pack_list([value]), line=request.line))
        else:
            machine.add(UpdateComplete(id, failure=Failure(text or "update failed"), line=request.line))
    machine.resolve(request.command, _YES)


def cancel(machine: WorkflowMachine, request: Request, destination: str, reason: object = "") -> None:
    """`process.cancel`."""
    pid, target = target_of(destination)
    machine.require("process.cancel", pid, "not allowed to cancel: {}")
    text = as_text(reason) if isinstance(reason, str | bytes) else ""
    workflow_id = _unique(machine, target)
    machine.add(CancelExternal(_external(machine, request), pid, workflow_id, text, line=request.line))


def terminate(machine: WorkflowMachine, request: Request, destination: str, _extra: object = None) -> None:
    """`process.terminate`."""
    pid, target = target_of(destination)
    machine.require("process.terminate", pid, "not allowed to terminate: {}")
    workflow_id = _unique(machine, target)
    machine.add(TerminateExternal(_external(machine, request), pid, workflow_id, line=request.line))


def _unique(machine: WorkflowMachine, target: Any) -> str:
    """The workflow id of a PID of this worker; empty for all else."""
    assert machine.started is not None
    return str(target.unique) if target is not None and target.host == machine.started.worker else ""


def upgrade(machine: WorkflowMachine, request: Request, id_text: str, *args: Any) -> None:
    """`process.upgrade`: the workflow goes on with a new run."""
    name = str(EntryId.parse(id_text)) if id_text else str(machine.entry)
    machine.continue_as_new(ContinueAsNew(name, pack_list(args), line=request.line))


def info(machine: WorkflowMachine) -> dict[str, Any]:
    """`workflow.info`."""
    started = machine.started
    assert started is not None
    length, size_bytes = machine.history
    return {
        "workflow_id": started.workflow_id,
        "run_id": started.run_id,
        "workflow_type": started.name,
        "task_queue": started.task_queue,
        "namespace": started.namespace,
        "attempt": started.attempt,
        "history_length": length,
        "history_size": size_bytes,
    }


def version(machine: WorkflowMachine, change_id: str, lowest: int, highest: int) -> int:
    """`workflow.version`."""
    known = machine.versions.get(change_id)
    if known is None and machine.replaying:  # the run passed here before there was such a change: nothing is recorded
        known = lowest
    elif change_id not in machine.recorded:
        known = highest if known is None else known
        machine.add(RecordVersion(change_id, known, line=machine.line))
    assert known is not None
    machine.versions[change_id] = known
    machine.recorded.add(change_id)
    if not lowest <= known <= highest:
        raise InvalidError(
            f"workflow.version {change_id!r}: this run was recorded with version {known}, "
            f"but the code supports {lowest} to {highest}"
        )
    return known


def attrs(machine: WorkflowMachine, search: Any, memo: Any) -> bool:
    """`workflow.attrs`."""
    machine.add(UpsertAttributes(_map(search), _map(memo), line=machine.line))
    return True


def _map(value: Any) -> Mapping[str, Any] | None:
    return {key: value[key] for key in sorted(value)} if isinstance(value, Mapping) else None


def expose(machine: WorkflowMachine, key: str, value: Any) -> bool:
    """`workflow.expose`: what queries get; nothing is recorded, for the code puts it up again when it is replayed."""
    machine.exposed[key] = value
    return True
