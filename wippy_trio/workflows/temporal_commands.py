"""Commands of the step machine as commands of Temporal's core. Source: ours; docs temporal/{workflows,activities}.

A message to a process of this node is handed over while the commands are written, and not when they are replayed: a
task that is repeated hands it over again. The end and the cancellation of others are activities of the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from temporalio.api.enums.v1 import WorkflowIdReusePolicy
from temporalio.bridge.proto.child_workflow import ChildWorkflowCancellationType, ParentClosePolicy
from temporalio.bridge.proto.workflow_commands import ActivityCancellationType, WorkflowCommand

from sandbox.values import pack_list, unpack
from wippy_trio.core.errors import LuaError
from wippy_trio.core.ids import Pid
from wippy_trio.workflows import wire
from wippy_trio.workflows.options import WorkflowOptions
from wippy_trio.workflows.temporal_convert import SOURCE, to_headers, to_payload, to_payloads, write_failure
from wippy_trio.workflows.temporal_jobs import Pending, Place, patch_id
from wippy_trio.workflows.temporal_options import duration, priority, retry_policy, search_attributes

__all__ = ["CANCEL", "TERMINATE", "Route", "Writer"]

#: Types of the runtime's own activities.
TERMINATE, CANCEL = "__wippy_terminate", "__wippy_cancel"
_OWN_S = 30
_STARTUP_SEQ = 1_000_000_000  # numbers of messages for children, out of the machine's reach
_CLOSE = {
    "": ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    "terminate": ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE,
    "abandon": ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON,
    "request_cancel": ParentClosePolicy.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
}
_REUSE = {
    "": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate_failed_only": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    "reject_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
    "terminate_if_running": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING,
}


@attrs.frozen(slots=True)
class Route:
    """What a name means on this worker.

    Attributes:
        type_of: workflow type of an entry's id.
        queue_of: task queue of a worker's id or of a queue's name, and the id of the worker a PID names.
        is_workflow: whether a PID is one of a workflow on the same server.
        send: hands a message to a process: source, destination, topic, encoded payloads.
    """

    type_of: Callable[[str], str]
    queue_of: Callable[[str], tuple[str, str]]
    is_workflow: Callable[[Pid], bool]
    send: Callable[[str, str, str, bytes], None]


class Writer:
    """Writes the commands of one activation.

    Args:
        commands: core's list.
        started: first event of the run.
        place, pending, route: see there.
        replaying: whether it has been written before.
    """

    def __init__(
        self,
        commands: Any,
        started: wire.Started,
        place: Place,
        pending: Pending,
        route: Route,
        *,
        replaying: bool,
    ) -> None:
        self._commands = commands
        self._replaying = replaying
        self._started = started
        self._place = place
        self._pending = pending
        self._route = route

    def write(self, command: wire.Command) -> None:
        """One command."""
        _WRITERS[type(command)](self, command)

    def write_startup(self, seq: int) -> None:
        """A child has started: send what its parent had for it."""
        for at, (topic, payloads) in enumerate(self._pending.startup.pop(seq, ())):
            pid = Pid.parse(self._pending.children[seq])
            self._signal(_STARTUP_SEQ + seq * 1000 + at, pid.unique, topic, payloads)

    def _new(self) -> WorkflowCommand:
        made: WorkflowCommand = self._commands.add()
        return made

    def _namespace(self) -> str:
        return self._started.namespace

    # activities -------------------------------------------------------------------------------------------------
    def activity(self, command: wire.ScheduleActivity) -> None:
        """A function, run as an activity."""
        options = command.options
        made = self._new()
        body = made.schedule_activity
        body.seq, body.activity_type = command.seq, command.name
        body.activity_id = options.activity_id or str(command.seq)
        body.task_queue = options.task_queue or self._started.task_queue
        body.arguments.extend(to_payloads(command.args))
        to_headers(command.context or self._started.context, body.headers)
        for field, ns in (
            ("start_to_close_timeout", options.start_to_close_ns),
            ("schedule_to_close_timeout", options.schedule_to_close_ns),
            ("schedule_to_start_timeout", options.schedule_to_start_ns),
            ("heartbeat_timeout", options.heartbeat_ns),
        ):
            _set(body, field, duration(ns))
        _set(body, "retry_policy", retry_policy(options.retry))
        waits = options.wait_for_cancellation
        body.cancellation_type = (
            ActivityCancellationType.WAIT_CANCELLATION_COMPLETED if waits else ActivityCancellationType.TRY_CANCEL
        )
        body.do_not_eagerly_execute = options.disable_eager
        if options.summary:
            made.user_metadata.summary.CopyFrom(to_payload(options.summary))

    def cancel_activity(self, command: wire.CancelActivity) -> None:
        """An activity is not wanted any more."""
        self._new().request_cancel_activity.seq = command.seq

    def _own(self, seq: int, name: str, *args: Any) -> None:
        body = self._new().schedule_activity
        body.seq, body.activity_type, body.activity_id = seq, name, str(seq)
        body.task_queue = self._started.task_queue
        body.arguments.extend(to_payload(item) for item in args)
        body.schedule_to_close_timeout.FromSeconds(_OWN_S)
        self._pending.externals.add(seq)

    # timers -------------------------------------------------------------------------------------------------------
    def timer(self, command: wire.StartTimer) -> None:
        """A timer."""
        body = self._new().start_timer
        body.seq = command.seq
        body.start_to_fire_timeout.FromNanoseconds(max(command.delay_ns, 1_000_000))  # the server takes no zero

    def cancel_timer(self, command: wire.CancelTimer) -> None:
        """A timer is not wanted any more."""
        self._new().cancel_timer.seq = command.seq

    # children -------------------------------------------------------------------------------------------------------
    def child(self, command: wire.StartChild) -> None:
        """A child workflow."""
        options = command.options
        queue, worker = self._route.queue_of(command.host) if command.host else ("", "")
        made = self._new()
        body = made.start_child_workflow_execution
        body.seq, body.workflow_id = command.seq, command.workflow_id
        body.namespace = options.namespace or self._namespace()
        body.workflow_type = self._route.type_of(command.name)
        body.task_queue = options.task_queue or queue or self._started.task_queue
        body.input.extend(to_payloads(command.args))
        to_headers(command.context or self._started.context, body.headers)
        _set(body, "workflow_execution_timeout", duration(options.execution_timeout_ns))
        _set(body, "workflow_run_timeout", duration(options.run_timeout_ns))
        _set(body, "workflow_task_timeout", duration(options.task_timeout_ns))
        _set(body, "retry_policy", retry_policy(options.retry))
        _set(body, "priority", priority(options))
        body.parent_close_policy = _CLOSE[options.parent_close]
        body.workflow_id_reuse_policy = _reuse(options)
        body.cron_schedule = options.cron
        body.cancellation_type = (
            ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED
            if options.wait_for_cancellation
            else ChildWorkflowCancellationType.TRY_CANCEL
        )
        for key, item in options.memo.items():
            body.memo[key].CopyFrom(to_payload(item))
        for key, item in search_attributes(options.search).items():
            body.search_attributes.indexed_fields[key].CopyFrom(item)
        if options.summary:
            made.user_metadata.summary.CopyFrom(to_payload(options.summary))
        place = attrs.evolve(self._place, worker=worker) if worker else self._place
        self._pending.children[command.seq] = place.pid(command.workflow_id)
        messages = unpack(command.messages)
        if messages:
            self._pending.startup[command.seq] = [(str(topic), pack_list(items)) for topic, items in messages]

    def cancel_child(self, command: wire.CancelChild) -> None:
        """Ask a child to stop."""
        self._new().cancel_child_workflow_execution.child_workflow_seq = command.seq

    # others ---------------------------------------------------------------------------------------------------------
    def signal(self, command: wire.SignalExternal) -> None:
        """A message to another workflow."""
        self._signal(command.seq, command.workflow_id, command.topic, command.payloads)

    def _signal(self, seq: int, workflow_id: str, topic: str, payloads: bytes) -> None:
        body = self._new().signal_external_workflow_execution
        body.seq, body.signal_name = seq, topic
        body.workflow_execution.namespace = self._namespace()
        body.workflow_execution.workflow_id = workflow_id
        body.args.extend(to_payloads(payloads))
        to_headers(self._started.context, body.headers, {SOURCE: self._started.pid})

    def _other(self, text: str) -> str:
        """Workflow id of a PID on the same server; empty for all else."""
        if not text.startswith("{"):
            return ""
        try:
            pid = Pid.parse(text)
        except LuaError:
            return ""
        return pid.unique if self._route.is_workflow(pid) else ""

    def message(self, command: wire.SendMessage) -> None:
        """A message to a process, or to a workflow of another worker."""
        workflow_id = self._other(command.destination)
        if workflow_id:
            self._signal(command.seq, workflow_id, command.topic, command.payloads)
        elif not self._replaying:
            self._route.send(self._started.pid, command.destination, command.topic, command.payloads)

    def cancel(self, command: wire.CancelExternal) -> None:
        """Ask somebody to stop."""
        workflow_id = command.workflow_id or self._other(command.pid)
        if not workflow_id:
            self._own(command.seq, CANCEL, self._started.pid, command.pid, command.reason)
            return
        body = self._new().request_cancel_external_workflow_execution
        body.seq, body.reason = command.seq, command.reason
        body.workflow_execution.namespace = self._namespace()
        body.workflow_execution.workflow_id = workflow_id

    def terminate(self, command: wire.TerminateExternal) -> None:
        """End somebody."""
        self._own(command.seq, TERMINATE, command.pid, command.workflow_id or self._other(command.pid))

    # facts ------------------------------------------------------------------------------------------------------------
    def version(self, command: wire.RecordVersion) -> None:
        """A version, as a patch marker."""
        self._new().set_patch_marker.patch_id = patch_id(command.change_id, command.version)

    def attributes(self, command: wire.UpsertAttributes) -> None:
        """Search attributes and memo."""
        if command.search:
            body = self._new().upsert_workflow_search_attributes
            for key, item in search_attributes(command.search).items():
                body.search_attributes.indexed_fields[key].CopyFrom(item)
        if command.memo:
            fields = self._new().modify_workflow_properties.upserted_memo.fields
            for key, item in command.memo.items():
                fields[key].CopyFrom(to_payload(item))

    # updates ----------------------------------------------------------------------------------------------------------
    def _update(self, id: str, *, last: bool) -> Any:
        body = self._new().update_response
        body.protocol_instance_id = self._pending.updates[id]
        if last:
            del self._pending.updates[id]
        return body

    def accept(self, command: wire.UpdateAccept) -> None:
        """An update is taken."""
        self._update(command.id, last=False).accepted.SetInParent()

    def reject(self, command: wire.UpdateReject) -> None:
        """An update is refused."""
        write_failure(command.failure, self._update(command.id, last=True).rejected)

    def complete_update(self, command: wire.UpdateComplete) -> None:
        """An update is answered."""
        body = self._update(command.id, last=True)
        if command.failure is not None:
            write_failure(command.failure, body.rejected)
        else:
            body.completed.CopyFrom(_first(command.result))

    # ends -------------------------------------------------------------------------------------------------------------
    def continue_as_new(self, command: wire.ContinueAsNew) -> None:
        """The run ends, another goes on."""
        body = self._new().continue_as_new_workflow_execution
        body.workflow_type = self._route.type_of(command.name)
        body.task_queue = self._started.task_queue
        body.arguments.extend(to_payloads(command.args))
        to_headers(self._started.context, body.headers)

    def complete(self, command: wire.Complete) -> None:
        """The workflow returned."""
        self._new().complete_workflow_execution.result.CopyFrom(_first(command.result))

    def fail(self, command: wire.Fail) -> None:
        """The workflow failed."""
        write_failure(command.failure, self._new().fail_workflow_execution.failure)


def _first(data: bytes) -> Any:
    values = unpack(data)
    return to_payload(values[0] if isinstance(values, list) and values else None)


def _set(body: Any, field: str, value: Any) -> None:
    if value is not None:
        getattr(body, field).CopyFrom(value)


def _reuse(options: WorkflowOptions) -> Any:
    if options.conflict == "terminate_existing":
        return _REUSE["terminate_if_running"]
    return _REUSE[options.reuse]


_WRITERS: Mapping[type[wire.Command], Callable[[Writer, Any], None]] = {
    wire.ScheduleActivity: Writer.activity,
    wire.CancelActivity: Writer.cancel_activity,
    wire.StartTimer: Writer.timer,
    wire.CancelTimer: Writer.cancel_timer,
    wire.StartChild: Writer.child,
    wire.CancelChild: Writer.cancel_child,
    wire.SignalExternal: Writer.signal,
    wire.CancelExternal: Writer.cancel,
    wire.TerminateExternal: Writer.terminate,
    wire.SendMessage: Writer.message,
    wire.RecordVersion: Writer.version,
    wire.UpsertAttributes: Writer.attributes,
    wire.UpdateAccept: Writer.accept,
    wire.UpdateReject: Writer.reject,
    wire.UpdateComplete: Writer.complete_update,
    wire.ContinueAsNew: Writer.continue_as_new,
    wire.Complete: Writer.complete,
    wire.Fail: Writer.fail,
}
