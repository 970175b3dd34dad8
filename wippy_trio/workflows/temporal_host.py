"""Workflows on a Temporal server, as processes of this node see them. Source: docs temporal/workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wippy_trio.workflows import temporal_calls as calls
from wippy_trio.workflows import temporal_records as records
from wippy_trio.workflows.definitions import definitions_of
from wippy_trio.workflows.host import StartRequest, WorkflowHost
from wippy_trio.workflows.wire import NONE

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.history import RunInfo, RunQuery
    from wippy_trio.workflows.temporal_client import TemporalClient
    from wippy_trio.workflows.temporal_config import WorkerConfig

__all__ = ["TemporalHost"]


class TemporalHost(WorkflowHost):
    """The host that a temporal.worker entry is; the node of its PIDs is the client's id, as in the original."""

    def __init__(self, config: WorkerConfig, runtime: Runtime, client: TemporalClient) -> None:
        super().__init__(config.id, runtime, str(config.client))
        self.client = client
        self.task_queue = client.queue(config.task_queue)

    async def start(self, request: StartRequest) -> str:
        """See `WorkflowHost`. An entry that this node does not have may be known to another worker of the queue."""
        found = definitions_of(self.runtime.extras).find(request.entry)
        name = str(request.entry) if found is None else found.name
        return await calls.start(self.client, request, name, self.task_queue)

    async def signal(self, workflow_id: str, topic: str, payloads: bytes, source: str = "") -> None:
        """See `WorkflowHost`."""
        await calls.signal(self.client, workflow_id, topic, payloads, source)

    async def request_cancel(self, workflow_id: str, reason: str = "", source: str = "") -> None:
        """See `WorkflowHost`."""
        del source  # the server's request has no place for it
        await calls.cancel(self.client, workflow_id, reason)

    async def end(self, workflow_id: str, reason: str = "") -> None:
        """See `WorkflowHost`."""
        await calls.terminate(self.client, workflow_id, reason or "process.terminate")

    async def outcome(self, workflow_id: str, run_id: str = "") -> Any:
        """See `WorkflowHost`."""
        return await calls.outcome(self.client, workflow_id, run_id)

    async def query(self, workflow_id: str, name: str, args: bytes = NONE) -> Any:
        """See `WorkflowHost`."""
        return await calls.query(self.client, workflow_id, name, args)

    async def update(self, workflow_id: str, name: str, args: bytes, update_id: str) -> Any:
        """See `WorkflowHost`."""
        return await calls.update(self.client, workflow_id, name, args, update_id)

    async def runs(self, wanted: RunQuery) -> list[RunInfo]:
        """See `WorkflowHost`. The server's list is a moment behind."""
        return await records.runs(self.client, wanted, self)

    async def exported(self, info: RunInfo) -> dict[str, Any]:
        """See `WorkflowHost`."""
        return await records.exported(self.client, info.workflow_id, info.run_id)

    async def reset(self, info: RunInfo, number: int, reason: str = "") -> str:
        """See `WorkflowHost`. The server goes on from the end of the last workflow task up to there."""
        return await records.reset(self.client, info, number, reason)
