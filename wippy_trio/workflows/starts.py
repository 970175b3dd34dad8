"""Starts of embedded workflows, and what the policies say of ids that are in use. Source: docs temporal/workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wippy_trio.core.errors import AlreadyExistsError, ConflictError
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.workflows.history import RunInfo, Status
from wippy_trio.workflows.wire import SignalReceived, Started

if TYPE_CHECKING:
    from wippy_trio.workflows.definitions import Definition
    from wippy_trio.workflows.embedded import Embedded
    from wippy_trio.workflows.host import StartRequest

__all__ = ["Starts"]

_SEED_BYTES = 32


class Starts:
    """Starts workflows on an engine; those of one id come one after the other."""

    def __init__(self, engine: Embedded) -> None:
        self._engine = engine
        self._starting: dict[str, trio.Lock] = {}

    async def start(
        self, request: StartRequest, worker: EntryId, node: str, parent: tuple[str, str, int] = ("", "", 0)
    ) -> RunInfo:
        """Start a workflow, or find the one that runs under the id.

        Args:
            request: what is started.
            worker: its host.
            node: the node in its PID.
            parent: PID and run of the workflow whose child it is, and its number there.

        Raises:
            AlreadyExistsError: the policies in force refuse.
            LuaError: its code cannot be run, or the start could not be recorded.
        """
        if self._engine.history.failed is not None:
            raise self._engine.history.failed
        definition = self._engine.definitions.find(request.entry)
        if definition is None:
            raise self._engine.runtime.resources.explain_missing(request.entry, "workflow")
        lock = self._starting.setdefault(request.workflow_id, trio.Lock())
        try:
            async with lock:
                while True:
                    expected = ""
                    if request.named or parent[0]:
                        found = await self._existing(request, parent)
                        if isinstance(found, RunInfo):
                            return found
                        expected = found
                    try:
                        return await self._begin(request, definition, (worker, node), expected, parent)
                    except ConflictError:  # another node was quicker: look again
                        if not request.named:
                            raise
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._starting.pop(request.workflow_id, None)

    async def _begin(
        self,
        request: StartRequest,
        definition: Definition,
        place: tuple[EntryId, str],
        expected: str,
        parent: tuple[str, str, int],
    ) -> RunInfo:
        """Create the run and take its first step."""
        worker, node = place
        environment = self._engine.runtime.environment
        started = Started(
            request.workflow_id,
            environment.ids.uuid(),
            definition.name,
            str(request.entry),
            str(Pid(node, str(worker), request.workflow_id)),
            str(worker),
            environment.entropy.random_bytes(_SEED_BYTES),
            request.args,
            request.context,
            request.options,
            request.options.task_queue or self._task_queue(worker),
            request.options.namespace or "default",
            parent[0],
            zone=environment.clock.zone(),
        )
        run = await self._engine.driver.begin(started, _signals(request), expected, parent[1:])
        if not run.closed.is_set():
            self._engine.adopt(run, resumed=False)
        return run.info

    def _task_queue(self, worker: EntryId) -> str:
        """The task queue of a `temporal.worker` entry; its host's id where there is none."""
        registry = self._engine.runtime.registry
        entry = registry.get(worker) if worker in registry else None
        return str((entry.data.get("task_queue") if entry is not None else None) or worker)

    async def _existing(self, request: StartRequest, parent: tuple[str, str, int]) -> RunInfo | str:
        """What the policies say of a workflow of that id: the run to be used, or the id of the last one that closed."""
        options = request.options
        info = await self._engine.history.latest(request.workflow_id)
        if info is None:
            return ""
        if parent[1] and (info.parent_run_id, info.parent_seq) == parent[1:]:
            return info  # it was started before the node stopped
        refusal = AlreadyExistsError(f"workflow already started: {request.workflow_id}")
        if info.status is not Status.OPEN:
            reuse = options.reuse or "allow_duplicate"
            done = info.status in {Status.COMPLETED, Status.CONTINUED}
            if reuse == "reject_duplicate" or (reuse == "allow_duplicate_failed_only" and done):
                raise refusal
            return info.run_id
        conflict = options.conflict
        if options.reuse == "terminate_if_running":
            conflict = "terminate_existing"
        if not conflict:
            strict = options.error_when_started if options.error_when_started is not None else bool(parent[1])
            conflict = "fail" if strict else "use_existing"
        if conflict == "fail":
            raise refusal
        if conflict == "terminate_existing":
            await self._engine.end(request.workflow_id, "replaced by a new start")
            await self._engine.client.closed(info.run_id)
            return info.run_id
        for signal in _signals(request):
            await self._engine.tell_durably(request.workflow_id, signal)
        return info


def _signals(request: StartRequest) -> list[SignalReceived]:
    return [SignalReceived(topic, data, request.source) for topic, data in request.messages]
