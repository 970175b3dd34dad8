"""The driver of embedded runs: tells each what happened, records what it wants, and only then has it done.

Source: ours (architecture, 5d).
"""

from __future__ import annotations

import traceback
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from sandbox.errors import LuaError
from wippy_trio.core.errors import ConflictError, InternalError, NotFoundError, UnavailableError
from wippy_trio.workflows import wire
from wippy_trio.workflows.closing import close, header, limits, new_run
from wippy_trio.workflows.cron import next_due_ns
from wippy_trio.workflows.draft import Draft
from wippy_trio.workflows.faults import WorkflowFaults
from wippy_trio.workflows.history import Closing, History, MessagesLeftError
from wippy_trio.workflows.live import Inbound, LiveRun, WorkflowSettings
from wippy_trio.workflows.machine import WorkflowMachine
from wippy_trio.workflows.machine_shard import MachineLostError, MachineShard
from wippy_trio.workflows.replay import NondeterminismError, replay
from wippy_trio.workflows.wire import CancelRequested, Event, Fail, Failure, Started, Terminated, TimedOut

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.definitions import Definitions

__all__ = ["Driver", "Effects"]

_BATCH_COUNT = 100
_LOST_TRIES = 3


class Effects(Protocol):
    """What a driver has done: the world. Implemented by `embedded.py`."""

    def perform(self, run: LiveRun, draft: Draft) -> None:
        """Begin what the commands of a durable draft ask for."""

    def closed(self, run: LiveRun, draft: Draft, closing: Closing) -> None:
        """A run has closed, durably."""

    def taken_away(self, run: LiveRun) -> None:
        """Another node runs it now."""

    async def heed(self, run: LiveRun) -> bool:
        """Line up what is left for a run before all else; whether there was anything."""

    def again(self, run: LiveRun, delay_s: float) -> None:
        """Look at a run again later."""


class Driver:
    """Steps runs.

    Args:
        runtime: the node's.
        history: where they are recorded.
        definitions: what workflows there are.
        settings: bounds.
        effects: what is done for them.
    """

    def __init__(
        self,
        runtime: Runtime,
        history: History,
        definitions: Definitions,
        settings: WorkflowSettings,
        effects: Effects,
    ) -> None:
        self.runtime = runtime
        self.history = history
        self.definitions = definitions
        self.settings = settings
        self._effects = effects
        self._faults = WorkflowFaults(runtime.environment)
        self._shard = MachineShard(runtime.engine, "workflows", runtime.engine.limits.memory_bytes)
        runtime.engine.adopt_shard(self._shard)
        self._machines: OrderedDict[str, LiveRun] = OrderedDict()

    def now_ns(self, run: LiveRun) -> int:
        """The time of the next record: a record's clock never goes back."""
        return max(self.runtime.environment.clock.wall_ns(), run.last_ns)

    # machines --------------------------------------------------------------------------------------------------------
    def new_machine(self) -> WorkflowMachine:
        """A machine of this node's."""
        return WorkflowMachine(self._shard)

    def _keep(self, run: LiveRun) -> None:
        """Remember that a run's machine was just used; the longest unused one makes room."""
        self._machines[run.run_id] = run
        self._machines.move_to_end(run.run_id)
        if len(self._machines) <= self.settings.machines_count:
            return
        for other in list(self._machines.values()):
            if not other.working:
                self.evict(other)
                break

    def evict(self, run: LiveRun) -> None:
        """Give a run's machine up; it is made again from the record when it is needed."""
        self._machines.pop(run.run_id, None)
        machine, run.machine = run.machine, None
        if machine is not None and not machine.lost:
            machine.close()

    async def wake(self, run: LiveRun) -> WorkflowMachine:
        """The run's machine, made from the record where need be.

        Raises:
            LuaError: its code cannot be run, or does something else than what is recorded.
        """
        async with run.waking:
            if run.machine is None or run.machine.lost:
                records = await self.history.load(run.run_id)
                run.machine = await replay(self.new_machine, records)
                if records:
                    run.last_ns = max(run.last_ns, records[-1].at_ns)
            self._keep(run)
            return run.machine

    # a new run ----------------------------------------------------------------------------------------------------
    async def begin(
        self, started: Started, events: Sequence[Event], expected: str, parent: tuple[str, int] = ("", 0)
    ) -> LiveRun:
        """Create a run, take its first step unless that is to come later, and record both at once.

        Args:
            started: its first event.
            events: messages it finds at its start.
            expected: see `NewRun.expected`.
            parent: run and number whose child it is.

        Raises:
            LuaError: its code cannot be loaded, or the start could not be recorded.
        """
        now_ns = self.runtime.environment.clock.wall_ns()
        delay_ns = self._delay(started, now_ns)
        if delay_ns:
            new = attrs.evolve(new_run(started, now_ns, delay_ns, parent), expected=expected)
            await self.history.create(new)
            for event in events:
                await self.history.post(started.run_id, wire.encode(event), now_ns)
            late = LiveRun(new.info, new.pending)
            late.left = bool(events)
            return late
        run = LiveRun(header(started, now_ns, parent), limits(started, now_ns))
        run.working = True
        draft = Draft(run, now_ns)
        try:
            machine = run.machine = self.new_machine()
            for event in (started, *events):
                if draft.end is None:
                    self._tell(machine, draft, event)
            closing = await self._closing(run, draft)
            await self.history.create(draft.new(expected, closing))
        except BaseException:
            self.evict(run)
            raise
        self._done(run, draft, closing)
        run.working = False
        return run

    def _delay(self, started: Started, now_ns: int) -> int:
        options = started.options
        if options.cron:
            return next_due_ns(options.cron, now_ns + options.start_delay_ns, now_ns) - now_ns
        return options.start_delay_ns

    # stepping --------------------------------------------------------------------------------------------------------
    def _tell(self, machine: WorkflowMachine, draft: Draft, event: Event) -> None:
        """One event, recorded with what the run wants after it."""
        draft.event(event)
        run = draft.run
        if isinstance(event, CancelRequested):
            run.canceled = True
        for command in machine.activate(draft.now_ns, [event], history=(run.length, run.size_bytes)):
            draft.command(command)
        limit = self.settings
        if draft.end is None and (run.length > limit.records_count or run.size_bytes > limit.history_bytes):
            text = f"history too long: {run.length} records, {run.size_bytes} bytes; continue as new (process.upgrade)"
            draft.command(Fail(Failure(text, "Invalid", False)))

    async def work(self, run: LiveRun) -> None:
        """Tell a run all that is waiting for it. Never raises; what goes wrong is the run's or the node's trouble."""
        if run.working or run.waits_to_start:
            return
        run.working = True
        try:
            while run.inbox and not run.closed.is_set() and await self._batch(run):
                pass
        finally:
            run.working = False
        if run.closed.is_set():
            self.refuse(run, NotFoundError(f"workflow has closed: {run.info.workflow_id}"))

    async def _batch(self, run: LiveRun) -> bool:
        """One append; whether to go on."""
        before = run.length, run.size_bytes, dict(run.pending), run.info, run.canceled
        batch: list[Inbound] = []
        try:
            outside = isinstance(run.inbox[0].event, Terminated | TimedOut)
            machine = None if outside else await self.wake(run)
            draft = Draft(run, self.now_ns(run))
            while run.inbox and len(batch) < _BATCH_COUNT and draft.end is None:
                inbound = run.inbox.popleft()
                batch.append(inbound)
                if inbound.posted is not None:
                    draft.taken.append(inbound.posted)
                if draft.stale(inbound.event):
                    continue
                if machine is None or isinstance(inbound.event, Terminated | TimedOut):
                    draft.event(inbound.event)
                else:
                    self._tell(machine, draft, inbound.event)
            closing = await self._closing(run, draft)
            if draft.records or draft.taken:
                await self.history.append(draft.change(closing))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the run is as it was before
            run.length, run.size_bytes, run.pending, run.info, run.canceled = before
            run.inbox.extendleft(reversed(batch))
            self.evict(run)
            return await self._failed(run, problem)
        run.stuck = None
        run.lost_count = 0
        for inbound in batch:
            if inbound.tell is not None:
                inbound.tell(None)
        self._done(run, draft, closing)
        return True

    async def _closing(self, run: LiveRun, draft: Draft) -> Closing | None:
        """How the run ends, if it does."""
        if draft.end is None:
            return None
        started = run.machine.started if run.machine is not None else None
        if started is None:
            if run.waits_to_start:
                started = wire.decode(run.pending[0].data)
            else:
                started = wire.decode((await self.history.load(run.run_id))[0].data)
        assert isinstance(started, Started)
        return close(run, draft.end, started, self.runtime.environment, self.definitions)

    def _done(self, run: LiveRun, draft: Draft, closing: Closing | None) -> None:
        """What was recorded may take effect now."""
        run.last_ns = draft.now_ns
        self._effects.perform(run, draft)
        if closing is None and self._faults.evicts(run):
            self.evict(run)
        if closing is not None:
            self.evict(run)
            info = attrs.evolve(
                run.info,
                status=closing.status,
                closed_ns=closing.at_ns,
                outcome=closing.outcome,
                next_run_id="" if closing.successor is None else closing.successor.info.run_id,
                length=run.length,
                size_bytes=run.size_bytes,
            )
            run.info = info
            run.closed.set()
            self._effects.closed(run, draft, closing)

    async def _failed(self, run: LiveRun, problem: Exception) -> bool:
        """The run could not be told; whether to try again at once."""
        if isinstance(problem, MessagesLeftError):
            if await self._effects.heed(run):
                return True
            self._effects.again(run, self.settings.retry_s)
            return False
        if isinstance(problem, MachineLostError) and run.lost_count < _LOST_TRIES:
            run.lost_count += 1
            return True
        if self.history.failed is not None:
            self.refuse(run, self.history.failed)
            return False
        if isinstance(problem, ConflictError) and not isinstance(problem, NondeterminismError):
            self.refuse(run, UnavailableError(f"another node has taken workflow {run.info.workflow_id}"))
            self._effects.taken_away(run)
            return False
        error = problem
        if not isinstance(error, LuaError):
            trace = "".join(traceback.format_exception(problem))
            self.runtime.log.error("internal error in a workflow", workflow=run.info.workflow_id, trace=trace)
            error = InternalError(f"internal error: {type(problem).__name__}: {problem}")
        if run.stuck is None or str(run.stuck) != str(error):
            facts = {"workflow": run.info.workflow_id, "run": run.run_id, "error": str(error)}
            self.runtime.log.error("workflow cannot go on with the code there is; it waits", **facts)
        run.stuck = error
        await self._put_aside(run)
        self._effects.again(run, self.settings.retry_s)
        return False

    async def _put_aside(self, run: LiveRun) -> None:
        """Make the messages durable that wait for a run that cannot take them now."""
        waiting = list(run.inbox)
        for inbound in waiting:
            if inbound.tell is None or inbound.posted is not None or isinstance(inbound.event, Terminated):
                continue
            try:
                await self.history.post(run.run_id, wire.encode(inbound.event), self.now_ns(run))
            except LuaError as problem:
                inbound.tell(problem)
            else:
                inbound.tell(None)
            if inbound in run.inbox:
                run.inbox.remove(inbound)

    def refuse(self, run: LiveRun, error: LuaError) -> None:
        """Tell all who wait for a run that they wait in vain."""
        inbox, run.inbox = run.inbox, deque()
        for inbound in inbox:
            if inbound.tell is not None:
                inbound.tell(error)
        answers, run.updates = run.updates, {}
        for answer in answers.values():
            answer.give(error=error)
