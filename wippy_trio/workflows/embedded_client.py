"""Questions to embedded workflows: how one ended, what it holds, and updates. Source: docs temporal/workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from sandbox.values import unpack
from wippy_trio.core.errors import NotFoundError, UnavailableError
from wippy_trio.workflows import wire
from wippy_trio.workflows.closing import outcome_of
from wippy_trio.workflows.history import RunInfo, Status
from wippy_trio.workflows.live import Answer, Inbound, LiveRun
from wippy_trio.workflows.replay import replay

if TYPE_CHECKING:
    from wippy_trio.workflows.embedded import Embedded

__all__ = ["EmbeddedClient"]

_POLL_S = 0.5


class EmbeddedClient:
    """What others ask of the workflows of an engine."""

    def __init__(self, engine: Embedded) -> None:
        self._engine = engine

    async def closed(self, run_id: str) -> RunInfo | None:
        """Wait until a run has closed, whichever node runs it; its header."""
        run = self._engine.runs.get(run_id)
        if run is not None:
            await run.closed.wait()
            if run.info.status is not Status.OPEN:  # else another node has it now
                return run.info
        while True:
            info = await self._engine.history.run(run_id)
            if info is None or info.status is not Status.OPEN:
                return info
            await trio.sleep(_POLL_S)

    async def outcome(self, workflow_id: str, run_id: str = "") -> Any:
        """Wait for the end of a workflow, over all runs that continue the given (or latest) one.

        Raises:
            LuaError: what it failed of; NotFound when there is no such workflow.
        """
        if not run_id:
            latest = await self._engine.history.latest(workflow_id)
            if latest is None:
                raise NotFoundError(f"workflow not found: {workflow_id}")
            run_id = latest.run_id
        info = await self.closed(run_id)
        while info is not None and info.next_run_id:
            info = await self.closed(info.next_run_id)
        if info is None:
            raise NotFoundError(f"workflow not found: {workflow_id}")
        result, error = outcome_of(info)
        if error is not None:
            raise error
        values = unpack(result)
        return values[0] if values else None

    async def query(self, workflow_id: str, name: str) -> Any:
        """Ask a workflow, also one that has closed.

        Raises:
            LuaError: NotFound for an unknown workflow or question; its code cannot be run.
        """
        run_id = self._engine.open.get(workflow_id)
        if run_id is not None and not self._engine.runs[run_id].waits_to_start:
            return (await self._engine.driver.wake(self._engine.runs[run_id])).query(name)
        info = await self._engine.history.latest(workflow_id)
        if info is None:
            raise NotFoundError(f"workflow not found: {workflow_id}")
        machine = await replay(self._engine.driver.new_machine, await self._engine.history.load(info.run_id))
        try:
            return machine.query(name)
        finally:
            machine.close()

    async def update(self, workflow_id: str, name: str, args: bytes, update_id: str) -> Any:
        """Ask a workflow to do something, and wait for its answer; asked twice with one id it is done once.

        Raises:
            LuaError: it was rejected, failed, or the workflow is not there or closed before it answered.
        """
        run = await self._engine.open_run(workflow_id)
        if isinstance(run, str) or run.waits_to_start:
            raise UnavailableError(f"workflow {workflow_id} takes no updates here and now")
        answer = run.updates.get(update_id)
        if answer is None:
            known = await self._answered(run, update_id)
            if known is not None:
                return await known.wait()
            answer = run.updates.get(update_id)
        if answer is None:
            answer = run.updates[update_id] = Answer()
            event = wire.UpdateReceived(update_id, name, args)
            self._engine.put(run, Inbound(event, lambda error: None if error is None else answer.give(error=error)))
        return await answer.wait()

    async def _answered(self, run: LiveRun, update_id: str) -> Answer | None:
        """The answer to an update that is recorded; one that is only received is waited for."""
        seen: Answer | None = None
        for record in await self._engine.history.load(run.run_id):
            message = wire.decode(record.data)
            if getattr(message, "id", None) != update_id:
                continue
            if isinstance(message, wire.UpdateReceived):
                seen = run.updates.setdefault(update_id, Answer())
            elif isinstance(message, wire.UpdateReject):
                run.updates.pop(update_id, None)
                seen = Answer()
                seen.give(error=message.failure.error())
            elif isinstance(message, wire.UpdateComplete):
                run.updates.pop(update_id, None)
                seen = Answer()
                error = None if message.failure is None else message.failure.error()
                seen.give(unpack(message.result)[0], error)
        return seen
