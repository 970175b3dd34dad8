"""What a node asks a Temporal server about workflows: start, signal, cancel, end, query, update, and how they ended.

Source: docs temporal/workflows (starting workflows, messaging).
"""

from __future__ import annotations

from typing import Any

import trio
from temporalio.api.common.v1 import SearchAttributes, WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from sandbox.errors import KINDS, LuaError
from wippy_trio.core.errors import AlreadyExistsError, CanceledError, InvalidError, TimeoutExpiredError
from wippy_trio.workflows.host import StartRequest
from wippy_trio.workflows.temporal_client import TemporalClient
from wippy_trio.workflows.temporal_convert import SOURCE, error_of, to_headers, to_payload, to_payloads, value_of
from wippy_trio.workflows.temporal_options import (
    duration,
    priority,
    retry_policy,
    search_attributes,
    versioning_override,
)
from wippy_trio.workflows.wire import Context

__all__ = [
    "cancel",
    "outcome",
    "query",
    "signal",
    "start",
    "terminate",
    "update",
]

_POLL_S = 70.0  # the server answers an empty poll after 60 s at most
_AWAY_S = (0.5, 15.0)  # first and longest pause while the server is away
_NO_CONTEXT = Context()
_REUSE = {
    "": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
    "allow_duplicate_failed_only": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY,
    "reject_duplicate": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
    # What the server calls so now is a conflict policy: `_conflict`.
    "terminate_if_running": WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
}
_CONFLICT = {
    "fail": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    "use_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
    "terminate_existing": WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
}


# starting ----------------------------------------------------------------------------------------------------------
def _conflict(request: StartRequest) -> str:
    """What to do about a running workflow of this id, where nothing was said: take it, if the caller chose the id."""
    options = request.options
    if options.conflict:
        return options.conflict
    if options.reuse == "terminate_if_running":
        return "terminate_existing"
    fails = options.error_when_started if options.error_when_started is not None else not request.named
    return "fail" if fails else "use_existing"


def _fill(message: Any, request: StartRequest, client: TemporalClient, conflict: str) -> None:
    """The fields that both ways of starting have in common."""
    options = request.options
    if options.namespace not in {"", client.namespace}:
        raise InvalidError(f"temporal.workflow.namespace: this client's namespace is {client.namespace}")
    message.namespace = client.namespace
    message.workflow_id = request.workflow_id
    if options.task_queue:
        message.task_queue.name = options.task_queue
    message.input.payloads.extend(to_payloads(request.args))
    message.identity = client.sdk.identity
    message.request_id = client.new_id()
    message.workflow_id_reuse_policy = _REUSE[options.reuse]
    message.workflow_id_conflict_policy = _CONFLICT[conflict]
    for field, value in (
        ("workflow_execution_timeout", duration(options.execution_timeout_ns)),
        ("workflow_run_timeout", duration(options.run_timeout_ns)),
        ("workflow_task_timeout", duration(options.task_timeout_ns)),
        ("workflow_start_delay", duration(options.start_delay_ns)),
        ("retry_policy", retry_policy(options.retry)),
        ("priority", priority(options)),
        ("versioning_override", versioning_override(options)),
    ):
        if value is not None:
            getattr(message, field).CopyFrom(value)
    message.cron_schedule = options.cron
    for key, item in options.memo.items():
        message.memo.fields[key].CopyFrom(to_payload(item))
    if options.search:
        message.search_attributes.CopyFrom(SearchAttributes(indexed_fields=search_attributes(options.search)))
    if options.summary:
        message.user_metadata.summary.CopyFrom(to_payload(options.summary))
    if options.details:
        message.user_metadata.details.CopyFrom(to_payload(options.details))


async def start(client: TemporalClient, request: StartRequest, name: str, task_queue: str) -> str:
    """Start a workflow, or give its messages to the one that runs; returns the run's id.

    Args:
        client: the connection.
        request: what to start.
        name: its type.
        task_queue: as the server knows it; the options may name another one.

    Raises:
        AlreadyExistsError: one of that id runs, or has run, and the options say that this is an error.
        LuaError: the server refused, or could not be reached.
    """
    conflict = _conflict(request)
    messages = request.messages
    try:
        # The server takes a first message together with the start, but not where a running workflow is an error.
        if messages and conflict != "fail":
            with_signal = SignalWithStartWorkflowExecutionRequest()
            with_signal.workflow_type.name, with_signal.task_queue.name = name, task_queue
            run_id = await _start_with_signal(client, request, with_signal, conflict)
            messages = messages[1:]
        else:
            message = StartWorkflowExecutionRequest()
            message.workflow_type.name, message.task_queue.name = name, task_queue
            _fill(message, request, client, conflict)
            to_headers(request.context, message.header.fields)
            run_id = (await client.call("start_workflow_execution", message)).run_id
    except LuaError as problem:
        if problem.kind != KINDS["ALREADY_EXISTS"]:
            raise
        if conflict != "use_existing":
            raise AlreadyExistsError(problem.message, details={"workflow_id": request.workflow_id}) from problem
        run_id = ""
    for topic, payloads in messages:
        await signal(client, request.workflow_id, topic, payloads, request.source)
    return str(run_id)


async def _start_with_signal(
    client: TemporalClient, request: StartRequest, message: SignalWithStartWorkflowExecutionRequest, conflict: str
) -> str:
    _fill(message, request, client, conflict)
    topic, payloads = request.messages[0]
    message.signal_name = topic
    message.signal_input.payloads.extend(to_payloads(payloads))
    to_headers(request.context, message.header.fields, {SOURCE: request.source} if request.source else None)
    return str((await client.call("signal_with_start_workflow_execution", message)).run_id)


# messages ----------------------------------------------------------------------------------------------------------
async def signal(client: TemporalClient, workflow_id: str, topic: str, payloads: bytes, source: str = "") -> None:
    """Send a message; returns when the server has recorded it.

    Raises:
        LuaError: NotFound when no such workflow runs.
    """
    message = SignalWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        signal_name=topic,
        identity=client.sdk.identity,
        request_id=client.new_id(),
    )
    message.input.payloads.extend(to_payloads(payloads))
    if source:
        to_headers(_NO_CONTEXT, message.header.fields, {SOURCE: source})
    await client.call("signal_workflow_execution", message)


async def cancel(client: TemporalClient, workflow_id: str, reason: str = "") -> None:
    """Ask a workflow to stop.

    Raises:
        LuaError: NotFound when no such workflow runs.
    """
    message = RequestCancelWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        identity=client.sdk.identity,
        request_id=client.new_id(),
        reason=reason,
    )
    await client.call("request_cancel_workflow_execution", message)


async def terminate(client: TemporalClient, workflow_id: str, reason: str = "process.terminate") -> None:
    """End a workflow at once.

    Raises:
        LuaError: NotFound when no such workflow runs.
    """
    message = TerminateWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        identity=client.sdk.identity,
        reason=reason,
    )
    await client.call("terminate_workflow_execution", message)


async def query(client: TemporalClient, workflow_id: str, name: str, args: bytes = b"\x90") -> Any:
    """Ask a workflow about its state.

    Raises:
        LuaError: no such workflow, an unknown query, or no worker that could answer.
    """
    message = QueryWorkflowRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id),
        query=WorkflowQuery(query_type=name),
    )
    message.query.query_args.payloads.extend(to_payloads(args))
    answer = await client.call("query_workflow", message)
    values = [value_of(payload) for payload in answer.query_result.payloads]
    return values[0] if values else None


async def update(client: TemporalClient, workflow_id: str, name: str, args: bytes, update_id: str) -> Any:
    """Ask a workflow to do something, and wait for its answer; asking twice with one `update_id` asks once.

    Raises:
        LuaError: the workflow rejected it, or failed it; or as `query`.
    """
    stage = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
    message = UpdateWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        wait_policy=WaitPolicy(lifecycle_stage=stage),
        request=Request(meta=Meta(update_id=update_id, identity=client.sdk.identity), input=Input(name=name)),
    )
    message.request.input.args.payloads.extend(to_payloads(args))
    while True:
        answer = await client.call("update_workflow_execution", message, limit_s=_POLL_S)
        if answer.stage >= stage:
            break
    if answer.outcome.HasField("failure"):
        raise error_of(answer.outcome.failure)
    values = [value_of(payload) for payload in answer.outcome.success.payloads]
    return values[0] if values else None


# the end -----------------------------------------------------------------------------------------------------------
async def outcome(client: TemporalClient, workflow_id: str, run_id: str = "") -> Any:
    """Wait for the end of a workflow, over all its runs, and return its result; a server that is away is waited for.

    Raises:
        LuaError: the workflow failed, was cancelled, ended or timed out; NotFound when there is none.
    """
    while True:
        event = await _closing_event(client, workflow_id, run_id)
        attributes = getattr(event, str(event.WhichOneof("attributes")))
        following = getattr(attributes, "new_execution_run_id", "")
        if following:
            run_id = following
            continue
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            values = [value_of(payload) for payload in attributes.result.payloads]
            return values[0] if values else None
        raise _closing_error(event, attributes)


def _closing_error(event: HistoryEvent, attributes: Any) -> LuaError:
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
        return error_of(attributes.failure)
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
        return CanceledError("workflow canceled")
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
        return TimeoutExpiredError("workflow timed out", retryable=False)
    return CanceledError("workflow terminated", details={"reason": attributes.reason} if attributes.reason else None)


async def _closing_event(client: TemporalClient, workflow_id: str, run_id: str) -> HistoryEvent:
    message = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
        wait_new_event=True,
        history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        skip_archival=True,
    )
    pause_s, longest_s = _AWAY_S
    while True:
        try:
            answer = await client.call("get_workflow_execution_history", message, limit_s=_POLL_S)
        except LuaError as problem:
            if problem.kind not in {KINDS["UNAVAILABLE"], KINDS["TIMEOUT"], KINDS["RATE_LIMITED"]}:
                raise
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, longest_s)
            continue
        pause_s = _AWAY_S[0]
        if answer.history.events:
            event: HistoryEvent = answer.history.events[0]
            return event
        message.next_page_token = answer.next_page_token
