"""Workflows on a Temporal worker: the step machine behind the SDK's `WorkflowRunner`.

No asyncio loop and no Python sandbox is involved: an activation is turned into events (`temporal_jobs.py`), the
machine runs to quiescence, its commands become Temporal's (`temporal_commands.py`). An eviction closes the machine; the
next activation starts with the whole record, so that a machine made anew gets where the old one was.
Source: ours (architecture, section 5d); docs temporal/workflows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.common import RawValue
from temporalio.converter import SerializationContext, StorageDriverStoreContext, StorageDriverWorkflowInfo
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner

from sandbox.errors import LuaError
from wippy_trio.core.errors import InternalError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows import wire
from wippy_trio.workflows.definitions import definitions_of
from wippy_trio.workflows.machine import WorkflowMachine
from wippy_trio.workflows.temporal_commands import Route, Writer
from wippy_trio.workflows.temporal_convert import to_payload, write_failure
from wippy_trio.workflows.temporal_jobs import Pending, Place, events_of

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.machine_shard import MachineShard

__all__ = ["AnyWorkflow", "LuaRunner"]

_LINES_COUNT = 20
_FAILURES_COUNT = 20


@workflow.defn(dynamic=True, sandboxed=False)
class AnyWorkflow:
    """Stands for every type: the SDK wants a class, `LuaRunner` runs what the registry has under the type's name."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        """Never reached: instances are made by `LuaRunner`."""
        raise NotImplementedError(len(args))


class LuaRunner(WorkflowRunner):
    """Makes an instance for every run that this worker is given.

    Args:
        runtime: the node's.
        shard: the VM of the worker's workflows.
        client, worker: ids of the entries.
        route: what names mean here.

    Attributes:
        lines: what a run wanted in the step in which it left its history, with the Lua lines.
        failures: why tasks failed of late.
    """

    def __init__(self, runtime: Runtime, shard: MachineShard, client: EntryId, worker: EntryId, route: Route) -> None:
        self.runtime = runtime
        self.shard = shard
        self.client = client
        self.worker = worker
        self.route = route
        self.lines: list[str] = []
        self.failures: deque[str] = deque(maxlen=_FAILURES_COUNT)

    def prepare_workflow(self, defn: object) -> None:
        """Nothing to prepare."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """See `WorkflowRunner`. A type nobody knows fails the task, not the workflow: a newer worker may know it."""
        definition = definitions_of(self.runtime.extras).named(det.info.workflow_type)
        if definition is None or definition.worker != self.worker:
            raise NotFoundError(f"workflow type not registered on {self.worker}: {det.info.workflow_type}")
        place = Place(str(self.client), str(self.worker), str(definition.entry.id))
        return LuaInstance(self, det, place)


class LuaInstance(WorkflowInstance):
    """One run in this worker's cache."""

    def __init__(self, runner: LuaRunner, details: WorkflowInstanceDetails, place: Place) -> None:
        self._runner = runner
        self._info = details.info
        self._place = place
        self._pending = Pending()
        self._machine = WorkflowMachine(runner.shard)
        self._lines: list[str] = []

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """See `WorkflowInstance`: never raises; what fails here fails the task, which the server repeats."""
        completion = WorkflowActivationCompletion(run_id=act.run_id)
        completion.successful.SetInParent()
        for job in act.jobs:
            if job.HasField("remove_from_cache"):
                self._close(job.remove_from_cache)
                return completion
        try:
            self._activate(act, completion.successful.commands)
        except Exception as problem:  # noqa: BLE001 - the SDK wants it as a failed task
            error = problem if isinstance(problem, LuaError) else InternalError(f"{type(problem).__name__}: {problem}")
            self._runner.failures.append(str(problem))
            self._runner.runtime.log.error(
                "workflow task failed", workflow=self._info.workflow_id, run=self._info.run_id, error=str(problem)
            )
            write_failure(wire.Failure.of(error), completion.failed.failure)
        return completion

    def _activate(self, act: WorkflowActivation, commands: Any) -> None:
        machine = self._machine
        events = events_of(act, self._info, self._place, self._pending)
        made = machine.activate(
            act.timestamp.ToNanoseconds(),
            events,
            replaying=act.is_replaying,
            history=(act.history_length, act.history_size_bytes),
        )
        if machine.started is not None:
            self._write(act, made, commands)
        for job in act.jobs:
            if job.HasField("query_workflow"):
                self._answer(job.query_workflow, commands.add().respond_to_query)

    def _write(self, act: WorkflowActivation, made: Sequence[wire.Command], commands: Any) -> None:
        assert self._machine.started is not None
        route, replaying = self._runner.route, act.is_replaying
        writer = Writer(commands, self._machine.started, self._place, self._pending, route, replaying=replaying)
        for job in act.jobs:
            started = job.resolve_child_workflow_execution_start
            if job.HasField("resolve_child_workflow_execution_start") and started.HasField("succeeded"):
                writer.write_startup(started.seq)
        self._lines = [f"{item.kind} {line}" for item in made if (line := getattr(item, "line", ""))][-_LINES_COUNT:]
        for command in made:
            before = len(commands)
            try:
                writer.write(command)
            except LuaError as error:  # a value that cannot travel: as in the original, the workflow fails of it
                del commands[before:]
                writer.write(wire.Fail(wire.Failure.of(error)))
                return

    def _answer(self, query: Any, answer: Any) -> None:
        answer.query_id = query.query_id
        try:
            answer.succeeded.response.CopyFrom(to_payload(self._machine.query(query.query_type)))
        except LuaError as error:
            write_failure(wire.Failure.of(error), answer.failed)

    def _close(self, job: Any) -> None:
        name = job.EvictionReason.Name(job.reason)
        if name == "NONDETERMINISM":
            self._runner.lines = self._lines
            self._runner.runtime.log.error(
                "workflow does other than its history says",
                workflow=self._info.workflow_id,
                run=self._info.run_id,
                error=job.message,
                now=self._lines,
            )
        self._machine.close()

    def get_info(self) -> workflow.Info:
        """See `WorkflowInstance`."""
        return self._info

    def get_serialization_context(self, command_info: object) -> SerializationContext | None:
        """No codec of ours looks at it."""
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        """See `WorkflowInstance`."""
        info = self._info
        target = StorageDriverWorkflowInfo(
            id=info.workflow_id, run_id=info.run_id, type=info.workflow_type, namespace=info.namespace
        )
        return StorageDriverStoreContext(target=target)
