"""The embedded engine: runs workflows in this node, recorded in a history. Source: docs temporal/workflows; issue 6.

`start`, `signal` and the others return when what they did is durable. Effects of a run begin after what asked for them
is durable; those of which nobody knows whether they were done are done again after a restart.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import trio

from determinism.faults import exempt
from sandbox.errors import LuaError
from sandbox.values import unpack
from wippy_trio.core.errors import NotFoundError, UnavailableError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows import wire
from wippy_trio.workflows.activities import Activities
from wippy_trio.workflows.alarms import Alarms
from wippy_trio.workflows.driver import Driver
from wippy_trio.workflows.embedded_client import EmbeddedClient
from wippy_trio.workflows.family import Family
from wippy_trio.workflows.faults import WorkflowFaults, lose_worker
from wippy_trio.workflows.history import Closing, History, Pending, RunInfo, Status
from wippy_trio.workflows.keeper import Keeper
from wippy_trio.workflows.live import Answer, Inbound, LiveRun, WorkflowSettings
from wippy_trio.workflows.starts import Starts
from wippy_trio.workflows.wire import Context, Event, SignalReceived, Started

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.definitions import Definitions
    from wippy_trio.workflows.draft import Draft
    from wippy_trio.workflows.host import StartRequest

__all__ = ["Embedded"]

_NS = 1_000_000_000
_PURGE_EVERY = 1_000
_RETRY = -9  # a run to be looked at again, among the alarms


class Embedded:
    """The engine of a node, while `run` runs.

    Args:
        runtime: the node's.
        history: where runs are recorded.
        definitions: what workflows there are.
        settings: bounds.
    """

    def __init__(
        self, runtime: Runtime, history: History, definitions: Definitions, settings: WorkflowSettings
    ) -> None:
        self.runtime = runtime
        self.history = history
        self.definitions = definitions
        self.settings = settings
        history.on_failed = lambda problem: runtime.log.error(
            "workflows stop: nothing more is written to their history; start the node again", error=str(problem)
        )
        self.runs: dict[str, LiveRun] = {}
        self.open: dict[str, str] = {}
        self.driver = Driver(runtime, history, definitions, settings, self)
        self.alarms = Alarms(runtime.environment.clock, self._ring)
        self.activities = Activities(runtime, history, settings.activities_count, self.tell, self.alarms.set)
        self.family = Family(self)
        self.client = EmbeddedClient(self)
        self.starts = Starts(self)
        self.keeper = Keeper(self)
        self._faults = WorkflowFaults(runtime.environment)
        self._closed_count = 0
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run workflows until cancelled. What is under way then goes on after the next start."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.alarms.run)
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None
                for run in self.runs.values():
                    self.driver.refuse(run, UnavailableError("the workflow engine stops"))

    def soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Do something for a run, in the engine's nursery."""
        if self._nursery is not None:
            self._nursery.start_soon(self._guarded, function, args)

    async def _guarded(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """One task of the engine: what goes wrong in it is logged, and ends nothing else."""
        exempt.set(False)  # whoever gave cause for it
        try:
            await function(*args)
        except LuaError as problem:
            self.runtime.log.error("a task of the workflow engine failed", error=str(problem))
        except Exception as problem:  # noqa: BLE001 - ours: logged whole
            trace = "".join(traceback.format_exception(problem))
            self.runtime.log.error("internal error in the workflow engine", trace=trace)

    def adopt(self, run: LiveRun, *, resumed: bool) -> None:
        """An open run of this node's."""
        if resumed:
            run.caught_up, run.left = trio.Event(), True  # `collect` comes next
        self.runs[run.run_id] = run
        self.open[run.info.workflow_id] = run.run_id
        self.arm(run, list(run.pending.values()), resumed=resumed)
        if resumed and run.info.parent_run_id:
            self.soon(self.family.orphaned, run)

    def arm(self, run: LiveRun, wanted: Iterable[Pending], *, resumed: bool) -> None:
        """Have done what a run waits for; after a restart also what may have been begun before."""
        for pending in wanted:
            if pending.kind in {"timer", "start", "timeout"}:
                self.alarms.set(pending.due_ns, run.run_id, pending.seq)
            elif resumed and pending.kind == "activity":
                self.soon(self._activity, self.activities.resume, run, pending.seq)
            elif resumed and pending.kind == "message":
                self.family.send(run, wire.decode(pending.data))
            elif resumed:
                self.soon(self.family.resume, run, pending)

    # telling runs ----------------------------------------------------------------------------------------------------
    def tell(self, run: LiveRun, event: Event) -> None:
        """An event that nobody waits for."""
        self.put(run, Inbound(event))

    def put(self, run: LiveRun, inbound: Inbound) -> None:
        """Line an event up for a run; one that has closed hears of nothing more."""
        if not run.closed.is_set():
            run.put(inbound, self.settings.inbox_count if inbound.tell is not None else 0)
            if not run.working:
                self.soon(self.driver.work, run)

    async def tell_durably(self, workflow_id: str, event: Event) -> None:
        """An event for the open run of a workflow; returns when it is durable.

        Raises:
            NotFoundError: none is open.
            UnavailableError: it could not be recorded.
        """
        run = await self.open_run(workflow_id)
        outside = isinstance(event, wire.Terminated | wire.TimedOut)
        if isinstance(run, str) or ((run.waits_to_start or run.stuck is not None) and not outside):
            run_id = run if isinstance(run, str) else run.run_id
            if isinstance(run, LiveRun):
                run.left = True
            await self.history.post(run_id, wire.encode(event), self.runtime.environment.clock.wall_ns())
            mine = self.runs.get(run_id)
            if mine is not None and not mine.waits_to_start and mine.stuck is None:  # it has become able meanwhile
                try:
                    await self.keeper.collect()
                except LuaError as problem:
                    self.runtime.log.error("the history of workflows does not answer", error=str(problem))
            return
        if not outside and not run.caught_up.is_set():  # what was left for it comes first
            await run.caught_up.wait()
            await self.tell_durably(workflow_id, event)
            return
        answer = Answer()
        self.put(run, Inbound(event, lambda error: answer.give(error=error)))
        await answer.wait()

    async def open_run(self, workflow_id: str) -> LiveRun | str:
        """The open run of a workflow, or its id when another node runs it."""
        if self.history.failed is not None:
            raise self.history.failed
        run_id = self.open.get(workflow_id)
        if run_id is not None:
            return self.runs[run_id]
        info = await self.history.latest(workflow_id)
        if info is None or info.status is not Status.OPEN:
            raise NotFoundError(f"workflow not found: {workflow_id}")
        return self.runs.get(info.run_id) or info.run_id

    def _ring(self, run_id: str, seq: int) -> None:
        run = self.runs.get(run_id)
        if run is None:
            return
        if seq == _RETRY:
            self.soon(self._retry, run)
            return
        pending = run.pending.get(seq)
        if pending is None:
            return
        if pending.due_ns > self.runtime.environment.clock.wall_ns():  # the clock was set back, or the time was moved
            self.alarms.set(pending.due_ns, run_id, seq)
            return
        if pending.kind == "timer":
            self.tell(run, wire.TimerFired(seq))
        elif pending.kind == "timeout":
            self.tell(run, wire.TimedOut(pending.data.decode()))
        elif pending.kind == "start":
            self.tell(run, wire.decode(pending.data))
        elif pending.kind == "activity":
            self.soon(self._activity, self.activities.again, run, seq)

    async def _retry(self, run: LiveRun) -> None:
        run.stuck = None
        await self.keeper.collect()
        await self.driver.work(run)

    async def context_of(self, run: LiveRun) -> Context:
        """What a run hands on."""
        return (await self.started_of(run)).context

    async def started_of(self, run: LiveRun) -> Started:
        """The first event of a run."""
        if run.machine is not None and run.machine.started is not None:
            return run.machine.started
        if 0 in run.pending:
            data = run.pending[0].data
        else:
            data = (await self.history.load(run.run_id))[0].data
        started: Started = wire.decode(data)
        return started

    async def _activity(self, step: Callable[..., Any], run: LiveRun, seq: int) -> None:
        await step(run, seq, await self.context_of(run))

    # effects ---------------------------------------------------------------------------------------------------------
    def perform(self, run: LiveRun, draft: Draft) -> None:
        """See `driver.Effects`."""
        open_still = draft.end is None
        if draft.begins_late and run.left and open_still:  # what was left for the run before its first step comes now
            self.soon(self.keeper.collect)
        for command in draft.commands:
            if isinstance(command, wire.UpdateReject | wire.UpdateComplete):
                answer = run.updates.pop(command.id, None)
                if answer is not None:
                    failure = command.failure
                    value = unpack(command.result)[0] if isinstance(command, wire.UpdateComplete) else None
                    answer.give(value, None if failure is None else failure.error())
            elif isinstance(command, wire.CancelActivity):
                scope = run.scopes.get(command.seq)
                if scope is not None:
                    scope.cancel()
                elif command.wait:  # it waits for its next attempt
                    canceled = wire.Failure("operation canceled", "Canceled", False)
                    self.tell(run, wire.ActivityResolved(command.seq, failure=canceled))
            elif isinstance(command, wire.CancelChild):
                self.soon(self.family.cancel, run, command.seq)
            elif isinstance(command, wire.SendMessage):
                self.family.send(run, command)
        if open_still and (strike := self._faults.kills(run)):
            lose_worker(self, run, draft, strike)
        elif open_still:
            self.begin(run, draft)

    def begin(self, run: LiveRun, draft: Draft) -> None:
        """Begin what a draft waits for."""
        for pending in draft.added:
            if pending.kind == "timer":
                self.alarms.set(pending.due_ns, run.run_id, pending.seq)
            elif pending.kind == "activity" and pending.seq in run.pending:
                self.soon(self._activity, self.activities.run, run, pending.seq)
            elif (pending.kind == "child" and not pending.attempts_count) or pending.kind == "external":
                self.soon(self.family.perform, run, pending)

    def closed(self, run: LiveRun, draft: Draft, closing: Closing) -> None:
        """See `driver.Effects`."""
        del draft
        self._forget(run)
        self._closed_count += 1
        if self._closed_count % _PURGE_EVERY == 0:
            self.soon(self.keeper.purge)
        following = closing.successor
        if following is not None:
            self.adopt(LiveRun(following.info, following.pending), resumed=False)
            waiting, run.inbox = list(run.inbox), type(run.inbox)()
            if waiting:
                self.soon(self._hand_over, following.info.workflow_id, waiting)
        else:
            self.soon(self.family.tell_parent, run.info)
        self.soon(self.family.leave_children, list(run.pending.values()), run.run_id)

    async def _hand_over(self, workflow_id: str, waiting: list[Inbound]) -> None:
        """Messages that came too late for one run are for the next."""
        for inbound in waiting:
            error: LuaError | None = None
            if isinstance(inbound.event, SignalReceived | wire.UpdateReceived | wire.CancelRequested):
                try:
                    await self.tell_durably(workflow_id, inbound.event)
                except LuaError as problem:
                    error = problem
            if inbound.tell is not None:
                inbound.tell(error)

    def _forget(self, run: LiveRun) -> None:
        run.caught_up.set()
        for scope in run.scopes.values():
            scope.cancel()
        self.runs.pop(run.run_id, None)
        if self.open.get(run.info.workflow_id) == run.run_id:
            del self.open[run.info.workflow_id]

    def taken_away(self, run: LiveRun) -> None:
        """See `driver.Effects`."""
        self.driver.evict(run)
        self._forget(run)
        run.closed.set()  # for this node: who waits for its end asks the history from now on

    async def heed(self, run: LiveRun) -> bool:
        """See `driver.Effects`."""
        return await self.keeper.heed(run)

    def again(self, run: LiveRun, delay_s: float) -> None:
        """See `driver.Effects`."""
        due_ns = self.runtime.environment.clock.wall_ns() + round(delay_s * _NS)
        self.alarms.set(due_ns, run.run_id, _RETRY)

    async def start(
        self, request: StartRequest, worker: EntryId, node: str, parent: tuple[str, str, int] = ("", "", 0)
    ) -> RunInfo:
        """Start a workflow, or find the one that runs under the id. See `Starts.start`."""
        return await self.starts.start(request, worker, node, parent)

    async def end(self, workflow_id: str, reason: str = "") -> None:
        """Terminate a workflow. Errors as `tell_durably`."""
        await self.tell_durably(workflow_id, wire.Terminated(reason))
