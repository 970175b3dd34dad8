"""Activities of the embedded engine: functions run for workflows, with retries and time limits that survive restarts.

Source: docs temporal/activities.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.errors import KINDS, LuaError
from sandbox.values import pack_list, unpack
from wippy_trio.actors.actor import real_failure
from wippy_trio.actors.host import ProcessHost, SpawnOptions
from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows import wire
from wippy_trio.workflows.faults import WorkflowFaults
from wippy_trio.workflows.history import History, Pending
from wippy_trio.workflows.live import LiveRun
from wippy_trio.workflows.machine_context import frame_of
from wippy_trio.workflows.options import ActivityOptions, RetryPolicy
from wippy_trio.workflows.wire import ActivityResolved, Context, Failure, ScheduleActivity

if TYPE_CHECKING:
    from determinism.seams import Strike
    from wippy_trio.core.entry import Entry
    from wippy_trio.core.frame import Frame
    from wippy_trio.runtime import Runtime

__all__ = ["Activities"]

_NS = 1_000_000_000
_RETRIES = RetryPolicy()
_RAN = 0.5
_RESULT_BYTES = 16 * 1024 * 1024


class _Attempt:
    """One attempt under way: it ends early when it is cancelled or a time limit has passed."""

    __slots__ = ("answer", "canceled", "doomed", "lost", "scope", "which")

    def __init__(self, *, doomed: bool = False) -> None:
        self.doomed = doomed
        self.scope = trio.CancelScope()
        self.answer: ActivityResolved | None = None
        self.canceled = False
        self.lost = False
        self.which = ""

    def cancel(self) -> None:
        """End it."""
        self.canceled = True
        self.scope.cancel()

    def lose(self) -> None:
        """End it as the death of its worker would: it is taken up as after a restart."""
        self.lost = True
        self.scope.cancel()

    def limit(self, which: str, limit_s: float) -> None:
        """A time limit from now on, where it is the shortest of its kind; 0 = none."""
        if which == "start_to_close":
            self.scope.deadline = inf
        if limit_s > 0 and trio.current_time() + limit_s < self.scope.deadline:
            self.which, self.scope.deadline = which, trio.current_time() + limit_s

    def cut_off(self, seq: int) -> ActivityResolved:
        """The answer of an attempt that was ended early."""
        if self.canceled or not self.which:
            return ActivityResolved(seq, failure=Failure("operation canceled", KINDS["CANCELED"], False))
        return _timeout(seq, self.which)


class Activities:
    """Runs activities.

    Args:
        runtime: the node's.
        history: where attempts are noted.
        limit_count: activities that run at once.
        tell: `tell(run, event)` gives a run an answer.
        ring: `ring(due_ns, run, seq)` sets the time of the next attempt.
    """

    def __init__(
        self,
        runtime: Runtime,
        history: History,
        limit_count: int,
        tell: Callable[[LiveRun, wire.Event], None],
        ring: Callable[[int, str, int], None],
    ) -> None:
        self._runtime = runtime
        self._history = history
        self._limiter = trio.CapacityLimiter(limit_count)
        self._tell = tell
        self._ring = ring
        #: (run, number) of activities whose worker dies, in a simulation, when they have run.
        self.doomed: set[tuple[str, int]] = set()
        self._faults = WorkflowFaults(runtime.environment)

    def _now_ns(self) -> int:
        return self._runtime.environment.clock.wall_ns()

    async def resume(self, run: LiveRun, seq: int, context: Context) -> None:
        """After a restart: an attempt that was under way is lost, and made again if its policy allows."""
        pending = run.pending.get(seq)
        if pending is None:
            return
        if pending.due_ns:  # it waited for its next attempt
            self._ring(pending.due_ns, run.run_id, seq)
            return
        command: ScheduleActivity = wire.decode(pending.data)
        lost = Failure("the node stopped while the activity ran", KINDS["TIMEOUT"])
        if self._next_due(pending, command.options, lost) is None:
            details = {"timeout_type": "start_to_close"}
            self._tell(run, ActivityResolved(seq, failure=attrs.evolve(lost, retryable=False, details=details)))
            return
        run.pending[seq] = again = attrs.evolve(pending, attempts_count=pending.attempts_count + 1)
        if await self._note(run, again):
            await self.run(run, seq, context)

    async def again(self, run: LiveRun, seq: int, context: Context) -> None:
        """The time of the next attempt has come."""
        pending = run.pending.get(seq)
        if pending is not None and pending.due_ns:
            run.pending[seq] = begun = attrs.evolve(pending, due_ns=0)
            if await self._note(run, begun):
                await self.run(run, seq, context)

    async def _note(self, run: LiveRun, pending: Pending) -> bool:
        """Whether an attempt is in the history: one that is not is not made."""
        try:
            await self._history.note(run.run_id, pending)
        except LuaError as problem:
            self._runtime.log.warn("an attempt was not noted", run=run.run_id, seq=pending.seq, error=str(problem))
            return False
        return True

    async def run(self, run: LiveRun, seq: int, context: Context) -> None:
        """One attempt, and what follows from it."""
        pending = run.pending.get(seq)
        if pending is None or seq in run.scopes:
            return
        command: ScheduleActivity = wire.decode(pending.data)
        attempt = run.scopes[seq] = _Attempt(doomed=(run.run_id, seq) in self.doomed)
        self.doomed.discard((run.run_id, seq))
        try:
            with attempt.scope:
                attempt.answer = await self._attempt(attempt, pending, command, command.context or context)
        finally:
            run.scopes.pop(seq, None)
        if attempt.lost and attempt.answer is None and not attempt.canceled:
            await self.resume(run, seq, context)
            return
        answer = attempt.answer or attempt.cut_off(seq)
        if run.closed.is_set() or seq not in run.pending:
            return
        failure = answer.failure
        due_ns = None
        if failure is not None and failure.kind != KINDS["CANCELED"]:
            due_ns = self._next_due(pending, command.options, failure)
        if due_ns is None:
            self._tell(run, answer)
            return
        self._runtime.log.warn(
            "activity failed; it is tried again",
            workflow=run.info.workflow_id,
            activity=command.name,
            attempt=pending.attempts_count,
            error=failure.message if failure else "",
        )
        waiting = attrs.evolve(pending, attempts_count=pending.attempts_count + 1, due_ns=due_ns)
        run.pending[seq] = waiting
        if await self._note(run, waiting):
            self._ring(due_ns, run.run_id, seq)

    def _next_due(self, pending: Pending, options: ActivityOptions, failure: Failure) -> int | None:
        """When the next attempt is due; None when there is none."""
        retryable = failure.retryable
        if failure.details and failure.details.get("timeout_type") == "schedule_to_close":
            return None
        if failure.kind == KINDS["TIMEOUT"]:
            retryable = None  # the flag is for the workflow: the policy decides
        elif failure.kind == KINDS["INTERNAL"] and retryable is None:
            retryable = False  # a crash
        policy = options.retry or _RETRIES
        delay_ns = policy.delay_ns(pending.attempts_count, failure.kind, retryable=retryable)
        if delay_ns is None:
            return None
        due_ns = max(self._now_ns() + delay_ns, 1)
        if options.schedule_to_close_ns and due_ns >= pending.since_ns + options.schedule_to_close_ns:
            return None
        return due_ns

    async def _attempt(
        self, attempt: _Attempt, pending: Pending, command: ScheduleActivity, context: Context
    ) -> ActivityResolved:
        """The answer of one attempt."""
        options, seq = command.options, command.seq
        try:
            if self._limiter.available_tokens < 1:
                attempt.limit("schedule_to_start", options.schedule_to_start_ns / _NS)
            await self._limiter.acquire_on_behalf_of(attempt)
            try:
                attempt.limit("start_to_close", options.start_to_close_ns / _NS)
                if options.schedule_to_close_ns:
                    left_ns = pending.since_ns + options.schedule_to_close_ns - self._now_ns()
                    attempt.limit("schedule_to_close", max(left_ns, 1) / _NS)
                if struck := self._faults.times_out(command.name):
                    return await self._too_late(struck, command, context)
                data = await self._call(command, frame_of(context, self._runtime.extras))
                if attempt.doomed:
                    attempt.lose()
                    await trio.lowlevel.checkpoint()
            finally:
                self._limiter.release_on_behalf_of(attempt)
            if len(data) > _RESULT_BYTES:
                text = f"result of {command.name} is too large: {len(data)} bytes (limit {_RESULT_BYTES})"
                raise InvalidError(text)
            return ActivityResolved(seq, data)
        except LuaError as problem:
            failure = Failure.of(problem)
        except Exception as problem:  # noqa: BLE001 - a failure of ours is the activity's
            cause = real_failure(problem) or problem
            if isinstance(cause, LuaError):
                failure = Failure.of(cause)
            else:
                trace = "".join(traceback.format_exception(problem))
                self._runtime.log.error("internal error in an activity", activity=command.name, trace=trace)
                failure = Failure.of(InternalError(f"internal error: {type(cause).__name__}: {cause}"))
        if failure.kind == KINDS["INTERNAL"] and failure.retryable is None:
            failure = attrs.evolve(failure, retryable=False)
        return ActivityResolved(seq, failure=failure)

    async def _too_late(self, struck: Strike, command: ScheduleActivity, context: Context) -> ActivityResolved:
        """An injected fault: nobody hears of an answer in time, whether the activity ran or not."""
        if struck.draw >= _RAN:
            await self._call(command, frame_of(context, self._runtime.extras))
        await trio.sleep(min(command.options.start_to_close_ns / _NS or struck.bound_s, struck.bound_s))
        return _timeout(command.seq, "start_to_close")

    async def _call(self, command: ScheduleActivity, frame: Frame) -> bytes:
        id, functions = EntryId.parse(command.name), self._runtime.functions
        if functions.has(id):
            packed = await functions.call_packed(id, command.args, frame)
            return bytes(packed.data)
        entry: Entry | None = self._runtime.engine.entry(id)
        if entry is not None and entry.kind == "process.lua" and _is_activity(entry):
            value = await self._host(entry).execute(id, _arguments(command.args), frame, SpawnOptions())
            return pack_list([value])
        raise LuaError(f"activity not found: {command.name}", kind=KINDS["NOT_FOUND"], retryable=True)

    def _host(self, entry: Entry) -> ProcessHost:
        """Where a process runs that is an activity and names no host: the one there is."""
        hosts = [host for _, host in self._runtime.resources.all(ProcessHost)]
        if len(hosts) != 1:
            raise InvalidError(f"{entry.id}: meta.default_host must say which host runs this activity")
        return hosts[0]


def _arguments(data: bytes) -> list[Any]:
    values = unpack(data)
    return values if isinstance(values, list) else []


def _is_activity(entry: Entry) -> bool:
    temporal = entry.meta.get("temporal")
    return isinstance(temporal, Mapping) and "activity" in temporal


def _timeout(seq: int, which: str) -> ActivityResolved:
    text = f"activity {which.replace('_', '-')} timeout"
    return ActivityResolved(seq, failure=Failure(text, KINDS["TIMEOUT"], False, {"timeout_type": which}))
