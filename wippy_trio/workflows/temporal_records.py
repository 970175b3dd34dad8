"""What a Temporal server has recorded: its runs and their histories. Source: docs temporal/workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, WorkflowExecutionStatus
from temporalio.api.history.v1 import History
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
    ResetWorkflowExecutionRequest,
)

from sandbox.errors import KINDS, LuaError
from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.history import RunInfo, RunQuery, Status

if TYPE_CHECKING:
    from wippy_trio.workflows.temporal_client import TemporalClient
    from wippy_trio.workflows.temporal_host import TemporalHost

__all__ = ["exported", "reset", "runs"]

_STATUS = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING: (Status.OPEN, "Running"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED: (Status.COMPLETED, "Completed"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED: (Status.FAILED, "Failed"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED: (Status.CANCELED, "Canceled"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED: (Status.TERMINATED, "Terminated"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT: (Status.TIMED_OUT, "TimedOut"),
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW: (Status.CONTINUED, "ContinuedAsNew"),
}
_THEIRS = dict(_STATUS.values())
_TASK_ENDED = "EVENT_TYPE_WORKFLOW_TASK_COMPLETED"
_NOT_AGAIN = (
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST,
)
_EVENTS_COUNT = 60_000  # a server ends a history at 51,200


async def runs(client: TemporalClient, wanted: RunQuery, host: TemporalHost) -> list[RunInfo]:
    """Runs on the host's task queue, newest first.

    Raises:
        LuaError: the server cannot be asked.
    """
    if wanted.workflow_id and wanted.limit == 1:  # the list is a moment behind, this is not
        return await _latest(client, wanted.workflow_id, host)
    terms = [f"TaskQueue = {_quoted(host.task_queue)}"]
    if wanted.workflow_id:
        terms.append(f"WorkflowId = {_quoted(wanted.workflow_id)}")
    if wanted.name:
        terms.append(f"WorkflowType = {_quoted(wanted.name)}")
    if wanted.status:
        terms.append(f"ExecutionStatus = {_quoted(_THEIRS[Status(wanted.status)])}")
    request = ListWorkflowExecutionsRequest(namespace=client.namespace, query=" AND ".join(terms))
    found: list[RunInfo] = []
    while len(found) < wanted.limit:
        request.page_size = min(wanted.limit - len(found), 1000)
        answer = await client.call("list_workflow_executions", request)
        found.extend(_info(item, host) for item in answer.executions)
        request.next_page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    return found


async def _latest(client: TemporalClient, workflow_id: str, host: TemporalHost) -> list[RunInfo]:
    execution = WorkflowExecution(workflow_id=workflow_id)
    request = DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
    try:
        answer = await client.call("describe_workflow_execution", request)
    except LuaError as problem:
        if problem.kind == KINDS["NOT_FOUND"]:
            return []
        raise
    return [_info(answer.workflow_execution_info, host)]


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        raise InvalidError(f"the server cannot be asked for {text!r}")
    return f'"{text}"'


def _info(item: WorkflowExecutionInfo, host: TemporalHost) -> RunInfo:
    execution = item.execution
    return RunInfo(
        execution.run_id,
        execution.workflow_id,
        item.type.name,
        item.type.name,
        str(host.id),
        host.pid(execution.workflow_id),
        _STATUS.get(item.status, (Status.OPEN, ""))[0],
        item.start_time.ToNanoseconds(),
        item.close_time.ToNanoseconds() if item.HasField("close_time") else 0,
        item.history_length,
        item.history_size_bytes,
    )


async def exported(client: TemporalClient, workflow_id: str, run_id: str = "") -> dict[str, Any]:
    """A history as Temporal's own JSON.

    Raises:
        LuaError: NotFound when there is none.
    """
    request = GetWorkflowExecutionHistoryRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    )
    events: list[Any] = []
    while len(events) < _EVENTS_COUNT:
        answer = await client.call("get_workflow_execution_history", request)
        events.extend(answer.history.events)
        request.next_page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    data: dict[str, Any] = MessageToDict(History(events=events))
    return data


async def reset(client: TemporalClient, info: RunInfo, number: int, reason: str) -> str:
    """Begin a run with the events up to the last workflow task that ended by `number` (0: the first one).

    Raises:
        InvalidError: no task had ended by then.
        LuaError: the server refused.
    """
    events = (await exported(client, info.workflow_id, info.run_id)).get("events", [])
    ends = [int(event["eventId"]) for event in events if event.get("eventType") == _TASK_ENDED]
    ends = ends[:1] if number == 0 else [end for end in ends if end <= number]
    if not ends:
        raise InvalidError(f"{info.workflow_id}: no step had ended by record {number}")
    message = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=info.workflow_id, run_id=info.run_id),
        reason=reason or "reset",
        workflow_task_finish_event_id=ends[-1],
        request_id=client.new_id(),
        reset_reapply_exclude_types=_NOT_AGAIN,  # messages that came later do not count, either
    )
    return str((await client.call("reset_workflow_execution", message)).run_id)
