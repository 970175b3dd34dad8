"""What embedded runs have to do with others: children, parents, and requests to processes and workflows.

Source: docs temporal/workflows (Child Workflows, Cross-Workflow Signaling, Parent Close Policy).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sandbox.errors import LuaError
from sandbox.values import pack_list, unpack
from wippy_trio.actors.host import terminated
from wippy_trio.core.errors import InternalError, NotFoundError
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.workflows import wire
from wippy_trio.workflows.closing import outcome_of
from wippy_trio.workflows.history import Pending, RunInfo, Status
from wippy_trio.workflows.host import HOSTS, StartRequest, find_host
from wippy_trio.workflows.live import LiveRun
from wippy_trio.workflows.wire import ChildResolved, ChildStarted, Event, ExternalResolved, Failure, StartChild

if TYPE_CHECKING:
    from wippy_trio.workflows.embedded import Embedded

__all__ = ["Family"]


class Family:
    """Children and requests of the runs of an engine."""

    def __init__(self, engine: Embedded) -> None:
        self._engine = engine
        #: Ends of children whose start has not been told yet.
        self._early: dict[tuple[str, int], Event | None] = {}

    async def perform(self, run: LiveRun, pending: Pending) -> None:
        """Do what a command asks for, and tell the run how it went."""
        command = wire.decode(pending.data)
        try:
            if isinstance(command, StartChild):
                await self._start(run, command)
                return
            await self._request(run, command)
        except LuaError as problem:
            self._answer(run, pending, Failure.of(problem))
        except Exception as problem:  # noqa: BLE001 - a failure of ours is the run's, and is told whole
            trace = "".join(traceback.format_exception(problem))
            self._engine.runtime.log.error("internal error in a workflow's request", trace=trace)
            self._answer(
                run, pending, Failure.of(InternalError(f"internal error: {type(problem).__name__}: {problem}"))
            )
        else:
            self._answer(run, pending, None)

    def _answer(self, run: LiveRun, pending: Pending, failure: Failure | None) -> None:
        if pending.kind == "child":
            self._engine.tell(run, ChildStarted(pending.seq, failure=failure))
        else:
            self._engine.tell(run, ExternalResolved(pending.seq, failure))

    async def resume(self, run: LiveRun, pending: Pending) -> None:
        """After a restart: a request is made again; of a child that had started the end may have been missed."""
        if pending.kind == "external" or not pending.attempts_count:
            if await self._arrived(run, wire.decode(pending.data)):
                self._answer(run, pending, None)
            else:
                await self.perform(run, pending)
            return
        command: StartChild = wire.decode(pending.data)
        info = await self._engine.history.latest(command.workflow_id)
        if info is not None and info.status is not Status.OPEN and self._is_child(info, run, pending.seq):
            await self.tell_parent(info)

    async def _arrived(self, run: LiveRun, command: Any) -> bool:
        """Whether a message to a workflow was recorded there before the node stopped."""
        if not isinstance(command, wire.SignalExternal):
            return False
        info = await self._engine.history.latest(command.workflow_id)
        if info is None:
            return False
        id = f"{run.run_id}:{command.seq}"
        records = await self._engine.history.load(info.run_id)
        return any(getattr(wire.decode(record.data), "id", "") == id for record in records)

    @staticmethod
    def _is_child(info: RunInfo, run: LiveRun, seq: int) -> bool:
        return (info.parent_run_id, info.parent_seq) == (run.run_id, seq)

    # children --------------------------------------------------------------------------------------------------------
    async def _start(self, run: LiveRun, command: StartChild) -> None:
        engine = self._engine
        definition = engine.definitions.named(command.name)
        if definition is None:
            raise NotFoundError(f"workflow not found: {command.name}")
        own = Pid.parse(run.info.pid)
        worker = EntryId.parse(own.host)
        hosts = engine.runtime.extras.get(HOSTS, {})
        if command.host and command.host in hosts:
            worker = EntryId.parse(command.host)
        messages = tuple((str(topic), pack_list(payloads)) for topic, payloads in unpack(command.messages))
        context = command.context or await engine.context_of(run)
        chosen = command.workflow_id != f"{run.run_id}_{command.seq}"
        request = StartRequest(
            definition.entry.id,
            command.workflow_id,
            chosen,
            command.args,
            command.options,
            context,
            run.info.pid,
            messages,
        )
        key = run.run_id, command.seq
        self._early[key] = None
        try:
            info = await engine.start(request, worker, own.node, (run.info.pid, run.run_id, command.seq))
        finally:
            early = self._early.pop(key, None)
        engine.tell(run, ChildStarted(command.seq, info.pid))
        if early is not None:
            engine.tell(run, early)
        elif info.status is not Status.OPEN:
            await self.tell_parent(info)

    async def cancel(self, run: LiveRun, seq: int) -> None:
        """Ask a child to stop."""
        pending = run.pending.get(seq)
        if pending is not None:
            command: StartChild = wire.decode(pending.data)
            await self._quietly(command.workflow_id, wire.CancelRequested("", run.info.pid))

    async def tell_parent(self, info: RunInfo) -> None:
        """A child has closed for good."""
        if not info.parent_run_id:
            return
        result, error = outcome_of(info)
        event = ChildResolved(info.parent_seq, result, None if error is None else Failure.of(error))
        key = info.parent_run_id, info.parent_seq
        if key in self._early:
            self._early[key] = event
            return
        parent = self._engine.runs.get(info.parent_run_id)
        if parent is not None:
            self._engine.tell(parent, event)
            return
        now_ns = self._engine.runtime.environment.clock.wall_ns()
        try:
            await self._engine.history.post(info.parent_run_id, wire.encode(event), now_ns)
        except LuaError as problem:
            if not isinstance(problem, NotFoundError):
                self._engine.runtime.log.warn("a parent was not told", run=info.parent_run_id, error=str(problem))

    async def leave_children(self, pendings: Sequence[Pending], run_id: str) -> None:
        """The parent has closed, or goes on as another run, which does not know them: its children are ended, asked
        to stop, or left, as their options say.
        """
        for pending in pendings:
            if pending.kind == "child" and pending.attempts_count:
                command: StartChild = wire.decode(pending.data)
                await self._leave(command.workflow_id, command.options.parent_close, run_id)

    async def _leave(self, workflow_id: str, policy: str, run_id: str) -> None:
        info = await self._engine.history.latest(workflow_id)
        if info is None or info.parent_run_id != run_id:
            return
        if policy == "request_cancel":
            await self._quietly(workflow_id, wire.CancelRequested("parent closed"))
        elif policy != "abandon":
            await self._quietly(workflow_id, wire.Terminated("parent closed"))

    async def orphaned(self, run: LiveRun) -> None:
        """After a restart: whether the parent closed without having left its child."""
        parent = await self._engine.history.run(run.info.parent_run_id)
        if parent is not None and parent.status is not Status.OPEN:
            started = await self._engine.started_of(run)
            await self._leave(run.info.workflow_id, started.options.parent_close, run.info.parent_run_id)

    async def _quietly(self, workflow_id: str, event: Event) -> None:
        try:
            await self._engine.tell_durably(workflow_id, event)
        except NotFoundError:
            pass  # it has closed
        except LuaError as problem:
            self._engine.runtime.log.warn("a workflow was not reached", workflow=workflow_id, error=str(problem))

    # messages --------------------------------------------------------------------------------------------------------
    def send(self, run: LiveRun, command: wire.SendMessage) -> None:
        """Send to a process: in the order of the commands, and nobody waits for it."""
        run.outbox.append(command)
        if not run.sending:
            run.sending = True
            self._engine.soon(self._drain, run)

    async def _drain(self, run: LiveRun) -> None:
        try:
            while run.outbox:
                command = run.outbox.popleft()
                failure: Failure | None = None
                try:
                    await self._send(command.destination, command.topic, run.info.pid, command.payloads)
                except LuaError as problem:
                    failure = Failure.of(problem)
                    facts = {"workflow": run.info.workflow_id, "to": command.destination, "error": str(problem)}
                    self._engine.runtime.log.warn("a workflow's message was not taken", **facts)
                if command.seq in run.pending:
                    self._engine.tell(run, ExternalResolved(command.seq, failure))
        finally:
            run.sending = False

    # requests --------------------------------------------------------------------------------------------------------
    async def _request(self, run: LiveRun, command: Any) -> None:
        engine, pid = self._engine, run.info.pid
        if isinstance(command, wire.SignalExternal):
            event = wire.SignalReceived(command.topic, command.payloads, pid, f"{run.run_id}:{command.seq}")
            await engine.tell_durably(command.workflow_id, event)
        elif isinstance(command, wire.CancelExternal):
            if command.workflow_id:
                await engine.tell_durably(command.workflow_id, wire.CancelRequested(command.reason, pid))
            else:
                await self._cancel(command.pid, pid, command.reason)
        elif isinstance(command, wire.TerminateExternal):
            if command.workflow_id:
                await engine.end(command.workflow_id, f"terminated by {pid}")
            else:
                await self._terminate(command.pid)

    def _elsewhere(self, destination: str) -> tuple[str, Any]:
        """A destination's PID, and the host and id of a workflow where it is one."""
        pid = self._engine.runtime.processes.resolve(destination)
        return pid, find_host(self._engine.runtime.extras.get(HOSTS, {}), pid)

    async def _send(self, destination: str, topic: str, source: str, data: bytes) -> None:
        pid, workflow = self._elsewhere(destination)
        if workflow is not None:
            await workflow[0].signal(workflow[1], topic, data, source)
        else:
            await self._engine.runtime.processes.send_waiting(pid, topic, source, data)

    async def _cancel(self, destination: str, source: str, reason: str) -> None:
        pid, workflow = self._elsewhere(destination)
        if workflow is not None:
            await workflow[0].request_cancel(workflow[1], reason, source)
            return
        if self._engine.runtime.processes.find(pid) is None:
            raise NotFoundError(f"process not found: {pid}")
        self._engine.runtime.processes.cancel(pid, source, reason)

    async def _terminate(self, destination: str) -> None:
        pid, workflow = self._elsewhere(destination)
        if workflow is not None:
            await workflow[0].end(workflow[1], "process.terminate")
            return
        participant = self._engine.runtime.processes.find(pid)
        if participant is None:
            raise NotFoundError(f"process not found: {pid}")
        participant.terminate_now(terminated())
