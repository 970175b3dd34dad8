"""The step machine of one workflow run: `activate(now_ns, events) -> commands`.

It owns one Lua actor in a `MachineShard`, the run's clock, randomness and ids, and nothing else: no task, no I/O, no
wall clock. Equal events at equal times give equal commands, in every process and on every machine. Budgets are counted
by looks at a clock that only looking moves. Source: ours (architecture, sections 4 and 5d).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import attrs

from determinism.clock import HistoryClock
from determinism.entropy import SeededIds
from sandbox.values import pack, unpack
from wippy_trio.actors.topology import CANCEL, EXIT
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError, PermissionDeniedError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.entropy import RunEntropy
from wippy_trio.workflows.gate import check_modules
from wippy_trio.workflows.machine_context import frame_of
from wippy_trio.workflows.machine_ops import ANSWERS, IMMEDIATE, WAITING
from wippy_trio.workflows.machine_wait import Wait
from wippy_trio.workflows.wire import (
    ActivityResolved,
    CancelRequested,
    ChildResolved,
    ChildStarted,
    Command,
    Complete,
    ContinueAsNew,
    Event,
    ExternalResolved,
    Fail,
    Failure,
    PatchKnown,
    SignalReceived,
    Started,
    TimerFired,
    UpdateReceived,
)

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.actors.actor import Outcome
    from wippy_trio.core.frame import Frame
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.machine_shard import MachineShard, Request

__all__ = ["WorkflowMachine"]

_LOOK_S = 0.000_02
_NS = 1_000_000_000


class WorkflowMachine:
    """One run.

    Args:
        shard: the VM it runs in; several machines may share it, for one runs at a time.

    Attributes:
        started: the run's first event; known after the first activation.
        done: the command that ended the run; None while it is open.
        replaying: whether what happens now has happened before: nothing is printed, and a version that the record
            does not hold is the oldest.
        history: records and bytes of the history up to the current event, as `workflow.info` tells them.
        exposed: what the code has put up for queries.
        versions, recorded: versions of changes that are known, and those that are in the record.
        draws: the run's randomness.
        line: of the code, of the operation that is answered at once.
        updates: state of updates that are not answered: `pending` or `accepted`, by id.
    """

    def __init__(self, shard: MachineShard) -> None:
        self.shard = shard
        self.started: Started | None = None
        self.done: Command | None = None
        self.replaying = False
        self.lost = False
        self.history = (0, 0)
        self.updates: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.recorded: set[str] = set()
        self.exposed: dict[str, Any] = {}
        self.draws = RunEntropy(b"")
        self.waits: dict[int, Wait] = {}
        self.seq = 0
        self.line = ""
        self.commands: list[Command] = []
        self.runtime: Runtime = shard.runtime
        self.entry = EntryId("", "")
        self._by_command: dict[int, int] = {}
        self._early: list[Event] = []
        self._looks = 0
        self._clock = HistoryClock()
        self._actor_id = 0

    # driving -----------------------------------------------------------------------------------------------------
    def activate(
        self, now_ns: int, events: Sequence[Event], *, replaying: bool = False, history: tuple[int, int] = (0, 0)
    ) -> list[Command]:
        """Tell the run what happened, one event after the other, each until everything waits again.

        Args:
            now_ns: what the run's clock shows, Unix nanoseconds.
            events: `Started` first of all, but `PatchKnown` may come before it.
            replaying: whether these events have been given to this run before.
            history: records and bytes of the history so far.

        Returns:
            What the run wants, in order. Nothing comes after the command that ends it.

        Raises:
            LuaError: the code cannot be loaded, or may not run in a workflow.
            MachineLostError: the VM failed; make a new machine from the record.
        """
        self.replaying, self.history = replaying, history
        self._clock.set(now_ns)
        self._looks = 0
        self.commands = []
        before, self.shard.running = self.shard.running, self
        try:
            for event in events:
                if self.done is None:
                    self._take(event)
                    self.shard.settle(self)
        finally:
            self.shard.running = before
        commands, self.commands = self.commands, []
        return commands

    def query(self, name: str) -> Any:
        """Answer a question from what the run's code holds; nothing runs.

        `state` and any of its keys, `pid`, and `tasks`: where each task of the code waits.

        Raises:
            NotFoundError: an unknown name.
        """
        state = self.exposed
        if name == "state":
            return state
        if name == "pid":
            assert self.started is not None
            return self.started.workflow_id
        if name in state:
            return state[name]
        if name == "tasks":
            data = self.shard.vm.inspect(self._actor_id, True)
            return None if data is None else unpack(data)
        raise NotFoundError(f"unknown query type: {name}")

    def close(self) -> None:
        """Give the actor up; the record has everything."""
        actor = self.shard.actors.get(self._actor_id)
        if actor is not None:
            self.shard.kill(actor)
        self.waits.clear()
        self._by_command.clear()

    # events --------------------------------------------------------------------------------------------------------
    def _take(self, event: Event) -> None:
        if isinstance(event, PatchKnown):
            self.versions[event.change_id] = event.version
        elif isinstance(event, Started):
            self._start(event)
            early, self._early = self._early, []
            for held in early:
                self._take(held)
        elif self.started is None:
            self._early.append(event)
        elif isinstance(event, SignalReceived):
            self.deliver(event.name, event.source, event.payloads)
        elif isinstance(event, UpdateReceived):
            self.updates[event.id] = "pending"
            self.deliver(event.name, f"{{update|{event.id}}}", event.payloads)
        elif isinstance(event, CancelRequested):
            self.notify({"kind": CANCEL, "from": event.source, "reason": event.reason})
        elif isinstance(event, TimerFired | ActivityResolved | ChildStarted | ChildResolved | ExternalResolved):
            wait = self.waits.get(event.seq)
            if wait is not None:  # it may have been cancelled meanwhile
                ANSWERS[wait.kind](self, wait, event)
        else:
            raise InvalidError(f"a workflow cannot be told {event.kind}")

    def _start(self, event: Started) -> None:
        assert self.started is None
        self.started = event
        self.entry = EntryId.parse(event.entry)
        engine = self.shard.engine
        declared = engine.entry(self.entry)
        if declared is None or declared.kind != "workflow.lua":
            raise self.runtime.resources.explain_missing(self.entry, "workflow")
        unit = engine.unit(self.entry)
        check_modules(engine, unit)
        number = self.shard.ensure(unit)
        now_ns = self._clock.wall_ns()
        self._clock = HistoryClock(now_ns, event.zone)
        self.draws = RunEntropy(event.seed)
        self.runtime = attrs.evolve(self.runtime, environment=self._environment(), extras=dict(self.runtime.extras))
        actor = self.shard.new_machine_actor(event.pid, self)
        actor.unit, self._actor_id = unit, actor.actor_id
        actor.frame = frame_of(event.context, self.runtime.extras, self.entry, event.pid)
        method = str(declared.data.get("method") or "main").encode()
        limits = engine.limits
        rest = method, event.input, limits.cpu_s, limits.mailbox_count, True, True
        self.shard.enter(actor, self.shard.vm.start, event.pid.encode(), number, *rest)

    def _environment(self) -> Environment:
        entropy = self.draws.fork("code")
        return replace(
            self.runtime.environment, clock=self._clock, entropy=entropy, ids=SeededIds(entropy), threads=_InPlace()
        )

    # for the operations --------------------------------------------------------------------------------------------
    def look(self) -> float:
        """The clock of budgets: each look at it counts as 20 microseconds."""
        self._looks += 1
        return self._looks * _LOOK_S

    def waits_for(self, name: str) -> bool:
        """Whether an operation is a command of this machine."""
        return name in WAITING

    def immediate(self, name: str) -> Callable[..., Any] | None:
        """What answers an operation at once, where that is the machine itself."""
        found = IMMEDIATE.get(name)
        return None if found is None else lambda *values: found(self, *values)

    def perform(self, request: Request, values: list[Any]) -> None:
        """Turn an operation of the code into commands."""
        WAITING[request.name](self, request, *values)

    def add(self, command: Command) -> None:
        """A command; after the one that ends the run there is none."""
        if self.done is None:
            self.commands.append(command)

    def wait(self, wait: Wait) -> int:
        """Number what an operation waits for."""
        self.seq += 1
        self.waits[self.seq] = wait
        wait.seq = self.seq
        if wait.command:
            self._by_command[wait.command] = self.seq
        return self.seq

    def settled(self, wait: Wait) -> None:
        """It waits no more."""
        self.waits.pop(wait.seq, None)
        self._by_command.pop(wait.command, None)

    def resolve(self, command: int, data: bytes) -> None:
        """Answer an operation with an encoded list of results."""
        self.shard.vm.resolve(self._actor_id, command, 0, data)

    def reject(self, command: int, error: LuaError) -> None:
        """Answer an operation with nil and an error."""
        self.shard.vm.resolve(self._actor_id, command, 1, pack(error))

    def feed(self, source: int, value: object, *, last: bool) -> None:
        """Put a value into a channel of the code; a full one drops it."""
        self.shard.vm.feed(self._actor_id, source, pack(value))
        if last:
            self.shard.vm.close_feed(self._actor_id, source)

    def deliver(self, topic: str, source: str, data: bytes) -> None:
        """Put a message into the mailbox; a full one (setting `lua.mailbox_size`) drops it, and says so."""
        if self.shard.vm.deliver(self._actor_id, topic.encode(), source.encode(), data) == 2:
            self.runtime.log.warn("mailbox of a workflow is full; a message is dropped", pid=self._pid(), topic=topic)

    def notify(self, event: Mapping[str, Any]) -> None:
        """Deliver an event of `process.events()`."""
        self.shard.vm.event(self._actor_id, pack(event))

    def child_closed(self, pid: str, result: bytes, failure: Failure | None) -> None:
        """A child's end as an event."""
        outcome: dict[str, Any]
        if failure is None:
            values = unpack(result)
            outcome = {"value": values[0] if values else None}
        else:
            outcome = {"error": failure.error()}
        self.notify({"kind": EXIT, "from": pid, "result": outcome})

    def now_ns(self) -> int:
        """The run's time."""
        return self._clock.wall_ns()

    def hazard(self, what: str, line: str) -> None:
        """The code does something whose outcome depends on more than the record; said once for each line."""
        if (self.entry, line) not in self.shard.warned:
            self.shard.warned.add((self.entry, line))
            text = f"{what}: their order depends on memory, and a replay may differ; keep them in a list"
            self.runtime.log.warn(text, line=line, workflow=str(self.entry))

    def require(self, action: str, resource: str, refusal: str) -> None:
        """A permission of the code's identity; policies are asked again in a replay, and must answer the same.

        Raises:
            PermissionDeniedError: `refusal`, with the resource in the place of `{}`.
        """
        actor = self.shard.actors[self._actor_id]
        if not actor.allowed(action, resource, {"pid": actor.pid}):
            raise PermissionDeniedError(refusal.format(resource))

    def frame(self) -> Frame:
        """The frame of the code."""
        return self.shard.actors[self._actor_id].frame

    def _pid(self) -> str:
        return "" if self.started is None else self.started.pid

    # ends ------------------------------------------------------------------------------------------------------------
    def ended(self, outcome: Outcome) -> None:
        """The code returned or failed."""
        if outcome.ok:
            self._end(Complete(outcome.data))
            return
        values = unpack(outcome.data)
        error = values[0] if isinstance(values, list) and values else None
        if not isinstance(error, LuaError):
            error = LuaError(str(error), kind="Internal")
        self._end(Fail(Failure.of(error)))

    def _end(self, command: Command) -> None:
        if self.done is None:
            self.add(command)
            self.done = command

    def continue_as_new(self, command: ContinueAsNew) -> None:
        """The code asked to go on as a new run."""
        self._end(command)
        self.close()

    def cancelled(self, command: int) -> None:
        """The code gave up waiting for an operation."""
        seq = self._by_command.get(command)
        wait = None if seq is None else self.waits.get(seq)
        if wait is not None and wait.on_cancel is not None:
            wait.on_cancel(self, wait)


class _InPlace:
    """`Threads` of a workflow: work is done where it is asked for, and waits for nothing."""

    async def run(
        self, function: Callable[..., Any], *args: object, lane: str = "", abandon_on_cancel: bool = False
    ) -> Any:
        """Run it here."""
        del lane, abandon_on_cancel
        return function(*args)
