"""How a run ends: its state, and the run that follows it, if any. Source: docs temporal/workflows (start options)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from sandbox.values import pack
from wippy_trio.core.errors import CanceledError, LuaError, TimeoutExpiredError
from wippy_trio.workflows import wire
from wippy_trio.workflows.cron import next_due_ns
from wippy_trio.workflows.history import Closing, NewRun, Pending, RunInfo, Status
from wippy_trio.workflows.wire import Command, Event, Failure, Started

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.workflows.definitions import Definitions
    from wippy_trio.workflows.live import LiveRun

__all__ = ["close", "header", "limits", "new_run", "outcome_of"]

_SEED_BYTES = 32
RUN_TIMEOUT, EXECUTION_TIMEOUT = -1, -2


def header(started: Started, now_ns: int, parent: tuple[str, int] = ("", 0)) -> RunInfo:
    """The header of a run that begins."""
    options = started.options
    return RunInfo(
        started.run_id,
        started.workflow_id,
        started.name,
        started.entry,
        started.worker,
        started.pid,
        started_ns=now_ns,
        first_run_id=started.first_run_id or started.run_id,
        parent_run_id=parent[0],
        parent_seq=parent[1],
        attempt=started.attempt,
        memo=_packed(options.memo),
        search=_packed(options.search),
    )


def _packed(values: Mapping[str, object]) -> bytes:
    return pack(dict(values)) if values else b""


def limits(started: Started, now_ns: int, execution_due_ns: int = 0) -> list[Pending]:
    """The time limits of a run as things it waits for."""
    found = []
    options = started.options
    if options.run_timeout_ns:
        found.append(Pending(RUN_TIMEOUT, "timeout", now_ns + options.run_timeout_ns, now_ns, 0, b"run"))
    if options.execution_timeout_ns:
        due_ns = execution_due_ns or now_ns + options.execution_timeout_ns
        found.append(Pending(EXECUTION_TIMEOUT, "timeout", due_ns, now_ns, 0, b"execution"))
    return found


def new_run(started: Started, now_ns: int, delay_ns: int, parent: tuple[str, int], execution_due_ns: int = 0) -> NewRun:
    """A run whose first step comes after `delay_ns`: it has no record before that."""
    start = Pending(0, "start", now_ns + delay_ns, now_ns, 0, wire.encode(started))
    whole_ns = started.options.execution_timeout_ns
    due_ns = execution_due_ns or (now_ns + whole_ns if whole_ns else 0)
    waits = [start, *limits(started, now_ns + delay_ns, due_ns)]
    return NewRun(header(started, now_ns, parent), [], waits)


def close(
    run: LiveRun, end: Command | Event, started: Started, environment: Environment, definitions: Definitions
) -> Closing:
    """What becomes of a run that ends with a command of its own, or from outside."""
    now_ns = environment.clock.wall_ns()
    status, failure, again = _state(run, end)
    following: NewRun | None = None
    options = started.options
    if isinstance(end, wire.ContinueAsNew):
        found = definitions.named(end.name)
        name, entry = (found.name, str(found.entry.id)) if found is not None else (end.name, end.name)
        successor = attrs.evolve(
            started, name=name, entry=entry, input=end.args, continued="continue_as_new", attempt=1
        )
        following = _follow(run, successor, environment, 0)
    elif again and failure is not None and options.retry is not None:
        delay_ns = options.retry.delay_ns(started.attempt, failure.kind, retryable=failure.retryable)
        if delay_ns is not None:
            successor = attrs.evolve(started, continued="retry", attempt=started.attempt + 1)
            following = _follow(run, successor, environment, delay_ns)
    if following is None and again and options.cron:
        due_ns = next_due_ns(options.cron, now_ns, run.info.started_ns)
        successor = attrs.evolve(started, continued="cron", attempt=1)
        following = _follow(run, successor, environment, due_ns - now_ns)
    return Closing(status, now_ns, wire.encode(end), following)


def _state(run: LiveRun, end: Command | Event) -> tuple[Status, Failure | None, bool]:
    """State, failure, and whether a retry or the schedule may follow."""
    if isinstance(end, wire.Complete):
        return Status.COMPLETED, None, True
    if isinstance(end, wire.Fail):
        canceled = run.canceled and end.failure.kind == "Canceled"
        return (Status.CANCELED if canceled else Status.FAILED), end.failure, not canceled
    if isinstance(end, wire.TimedOut):
        return Status.TIMED_OUT, Failure("", "Timeout", True), end.which == "run"
    if isinstance(end, wire.Terminated):
        return Status.TERMINATED, None, False
    return Status.CONTINUED, None, False


def _follow(run: LiveRun, started: Started, environment: Environment, delay_ns: int) -> NewRun | None:
    """The next run; none when the time of all runs together would be over before it starts."""
    now_ns = environment.clock.wall_ns()
    whole = run.pending.get(EXECUTION_TIMEOUT)
    if whole is not None and now_ns + delay_ns >= whole.due_ns:
        return None
    fresh = attrs.evolve(
        started,
        run_id=environment.ids.uuid(),
        seed=environment.entropy.random_bytes(_SEED_BYTES),
        first_run_id=run.info.first_run_id,
    )
    parent = run.info.parent_run_id, run.info.parent_seq
    made = new_run(fresh, now_ns, delay_ns, parent, 0 if whole is None else whole.due_ns)
    kept = attrs.evolve(made.info, memo=run.info.memo, search=run.info.search)
    return attrs.evolve(made, info=kept)


def outcome_of(info: RunInfo) -> tuple[bytes, LuaError | None]:
    """Result of a run that has closed (encoded list of one), or its error."""
    end = wire.decode(info.outcome)
    if isinstance(end, wire.Complete):
        return end.result, None
    if isinstance(end, wire.Fail):
        return wire.NIL, end.failure.error()
    if isinstance(end, wire.Terminated):
        details = {"reason": end.reason} if end.reason else None
        return wire.NIL, CanceledError("workflow terminated", details=details)
    if isinstance(end, wire.TimedOut):
        details = {"timeout_type": end.which}
        return wire.NIL, TimeoutExpiredError(f"workflow {end.which} timeout", retryable=False, details=details)
    return wire.NIL, None
