"""Process hosts: where processes live. A process that waits for anything outside its VM is a trio task, with a cancel
scope, in its host's nursery; until then it is a record, which its host ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.values import pack, pack_list
from wippy_trio.actors.actor import LuaActor, Outcome
from wippy_trio.actors.recording import RecordOptions
from wippy_trio.actors.topology import error_data, result_of
from wippy_trio.core.errors import (
    AlreadyExistsError,
    CanceledError,
    LuaError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
)
from wippy_trio.core.frame import TRACE, Frame
from wippy_trio.core.ids import EntryId, Pid

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine
    from wippy_trio.actors.shard import Shard
    from wippy_trio.actors.topology import Topology

__all__ = ["HostLimits", "Process", "ProcessHost", "SpawnOptions"]

_TERMINATED = "process terminated"


@attrs.frozen(slots=True)
class HostLimits:
    """`max_processes`: live processes a host holds; `stop_s`: how long they may take to obey a stop; `record`: what is
    kept of each, None for nothing.
    """

    max_processes: int = 100_000
    stop_s: float = 10.0
    record: RecordOptions | None = None


@attrs.frozen(slots=True)
class SpawnOptions:
    """How a process is started.

    Attributes:
        parent: PID text of the spawner, empty for the runtime.
        monitor, link: relations that exist before the process's first step.
        name: name to hold; when another live process holds it, no process is started and that one's PID is returned.
        messages: (topic, payloads) delivered right after the start.
    """

    parent: str = ""
    monitor: bool = False
    link: bool = False
    name: str = ""
    messages: Sequence[tuple[str, Sequence[Any]]] = ()


class Process:
    """A running process: the Python side of its actor, and its task (`live`), which begins when it is first needed."""

    __slots__ = ("_ended", "actor", "data", "entry", "error", "host", "is_over", "parent", "pid", "started_s", "value")

    def __init__(self, host: ProcessHost, entry: EntryId, actor: LuaActor) -> None:
        self.host = host
        self.entry = entry
        self.actor = actor
        self.pid = actor.pid
        self.is_over = False
        self._ended: trio.Event | None = None
        self.value: Any = None
        self.error: LuaError | None = None
        self.data = b""
        self.parent = ""
        self.started_s = host.engine.environment.clock.monotonic_s()
        actor.on_end = self._end
        actor.owner = self.begin_living

    @property
    def ended(self) -> trio.Event:
        """Set when it has ended."""
        if self._ended is None:
            self._ended = trio.Event()
            if self.is_over:
                self._ended.set()
        return self._ended

    def _end(self, outcome: Outcome) -> None:
        if self.is_over:
            return
        self.is_over = True
        actor = self.actor
        self.data = outcome.data
        self.value, self.error = result_of(outcome.data, ok=outcome.ok)
        if self._ended is not None:
            self._ended.set()
        actor.finish_now()
        if actor.owner is not None:  # it never had a task, which would close what it was handed
            actor.owner = None
            if closers := actor.take_closers():
                self.host.engine.start_soon(partial(actor.release, closers))
        self.host.forget(self)

    # Participant -------------------------------------------------------------------------------------------------
    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        """See `topology.Participant`."""
        shard = self.actor.shard
        state = shard.enter(self.actor, shard.vm.deliver, topic.encode(), source.encode(), data)
        shard.wake()
        return 1 if state is None else int(state)

    async def wait_room(self) -> None:
        """See `topology.Participant`."""
        await self.actor.wait_room()

    def event_now(self, event: dict[str, Any]) -> None:
        """See `topology.Participant`."""
        shard = self.actor.shard
        shard.enter(self.actor, shard.vm.event, pack(event))
        shard.wake()

    def terminate_now(self, error: LuaError) -> None:
        """See `topology.Participant`."""
        if not self.is_over:
            self.actor.shard.kill(self.actor)
            self._end(Outcome(ok=False, data=error_data(error)))

    def begin_living(self) -> None:
        """Start its task, for it waits for something outside its VM."""
        self.actor.owner = None
        self.host.hold(self)

    async def live(self) -> None:
        """The lifeline: owns the nursery of the process's waiting commands; ends with it."""
        actor = self.actor
        try:
            await actor.hold()
        finally:
            self.terminate_now(CanceledError("process canceled"))
            if closers := actor.take_closers():
                await actor.release(closers)


class ProcessHost:
    """Holds processes; `async with` it inside the kind that opens it."""

    def __init__(self, id: EntryId, engine: Engine, topology: Topology, limits: HostLimits | None = None) -> None:
        self.id = id
        self.engine = engine
        self.topology = topology
        self.limits = limits or HostLimits()
        self.processes: dict[str, Process] = {}
        #: Processes that ended here, however they did.
        self.executed_count = 0
        self._nursery: trio.Nursery | None = None
        self._shard: Shard | None = None
        self._stopping = False
        self._empty = trio.Event()
        self._pid_prefix = str(Pid(engine.runtime.node, str(id), ""))[:-1]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold processes until cancelled; on the way out they are asked to stop, then ended."""
        record = self.limits.record
        shard = self._shard = await self.engine.open_shard(str(self.id), record=record)
        # In a world every call is a step that it chooses, and of a recorded process each is an input.
        shard.calls_inside = self.engine.environment.world is None and record is None
        leave = trio.Event()
        try:
            async with trio.open_nursery() as outer:
                await outer.start(self._hold, leave)
                task_status.started()
                try:
                    await trio.sleep_forever()
                finally:
                    leave.set()
        finally:
            self.engine.close_shard(shard)

    async def _hold(self, leave: trio.Event, task_status: trio.TaskStatus[None]) -> None:
        """The nursery of the processes, out of reach of what cancels the host: they are asked first."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await leave.wait()
                await self.stop()
                self._nursery = None

    async def stop(self) -> None:
        """Cancel every process, wait for `limits.stop_s`, end the rest."""
        self._stopping = True
        for process in list(self.processes.values()):
            self.topology.cancel(process.pid, "", "scheduler shutdown")
        if self.processes:
            with trio.move_on_after(self.limits.stop_s):
                await self._empty.wait()
        for process in list(self.processes.values()):
            process.terminate_now(CanceledError("host stopped"))

    def spawn(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> str:
        """Start a process and return its PID's text. `frame` is its frame (without pid).

        Raises:
            UnavailableError: the host is not running, or shutting down.
            RateLimitedError: it is full.
            NotFoundError: no such process entry.
        """
        if options.name:
            holder = self.topology.lookup(options.name)
            if holder is not None:
                return self._find_instead(holder, options)
        shard = self._shard
        if self._nursery is None or shard is None:
            message = f"host is not running: {self.id}"
            raise UnavailableError(message)
        if self._stopping:
            message = f"host is shutting down: {self.id}"
            raise UnavailableError(message)
        if len(self.processes) >= self.limits.max_processes:
            message = f"max processes limit exceeded: {self.id} holds {self.limits.max_processes}"
            raise RateLimitedError(message)
        declared = self.engine.entry(entry)
        if declared is None or declared.kind not in {"process.lua", "function.lua"}:
            raise self.engine.runtime.resources.explain_missing(entry, "factory")
        unit = self.engine.unit(entry)
        number = shard.ensure(unit)
        pid = f"{self._pid_prefix}{self.engine.environment.ids.unique()}}}"
        actor = shard.new_actor(pid)
        actor.unit = unit
        actor.frame = Frame(entry, pid, frame.actor, frame.scope, frame.values, frame.options, frame.extras)
        process = Process(self, entry, actor)
        process.parent = options.parent
        self.processes[pid] = process
        self.topology.enter(pid, process)
        try:
            self._relate(process, options)
            method = str(declared.data.get("method") or "main")
            data = pack_list(args), self.engine.limits.cpu_s, self.engine.limits.mailbox_count
            shard.enter(actor, shard.vm.start, pid.encode(), number, method.encode(), *data, actor.guarded)
            for topic, payloads in options.messages:
                if process.deliver_now(topic, "", pack_list(payloads)) == 2:
                    message = f"mailbox of the new process is full after {topic!r} (setting lua.mailbox_size)"
                    raise UnavailableError(message, retryable=False)
        except LuaError as error:
            process.terminate_now(error)
            raise
        if frame.extras and TRACE in frame.extras:
            from wippy_trio.actors.traced import trace_life

            trace_life(self.engine.runtime, process)
        shard.wake()
        if self.engine.environment.world is not None:  # there a task more or less is another order of things
            process.begin_living()
        return pid

    def hold(self, process: Process) -> None:
        """Start the task of a process that waits for something outside its VM for the first time."""
        if self._nursery is not None:
            unique = process.pid[len(self._pid_prefix) : -1]
            self._nursery.start_soon(process.live, name=f"{process.entry}|{unique} life")

    def _find_instead(self, holder: str, options: SpawnOptions) -> str:
        """The process that holds the wanted name takes the messages and relations meant for a new one."""
        if options.monitor and not self.topology.monitors(options.parent, holder):
            self.topology.monitor(options.parent, holder)
        if options.link:
            self.topology.link(options.parent, holder)
        for topic, payloads in options.messages:
            self.topology.send(holder, topic, "", pack_list(payloads))
        return holder

    def _relate(self, process: Process, options: SpawnOptions) -> None:
        if options.monitor:
            self.topology.monitor(options.parent, process.pid)
        if options.link:
            self.topology.link(options.parent, process.pid)
        if options.name:
            self.topology.register(options.name, process.pid)

    def forget(self, process: Process) -> None:
        """A process ended."""
        self.executed_count += 1
        self.processes.pop(process.pid, None)
        lived_s = process.started_s, self.engine.environment.clock.monotonic_s()
        self.engine.exits.record((process.pid, process.entry, process.parent), lived_s, process.error)
        self.topology.leave(process.pid, process.value, process.error)
        if self._stopping and not self.processes:
            self._empty.set()

    async def execute(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> Any:
        """Start a process, wait for its end and return its result; cancelling ends the process.

        Raises:
            AlreadyExistsError: another process holds its name (details.existing_pid).
            LuaError: the process ended with it.
        """
        holder = self.topology.lookup(options.name) if options.name else None
        if holder is not None:  # spawn would hand out a stranger, whose result is not the caller's
            raise AlreadyExistsError(f"name already registered: {options.name}", details={"existing_pid": holder})
        pid = self.spawn(entry, args, frame, options)
        process = self.processes.get(pid)
        if process is None:
            message = f"process not found: {pid}"
            raise NotFoundError(message)
        try:
            await process.ended.wait()
        except trio.Cancelled:
            process.terminate_now(CanceledError("canceled with its caller"))
            raise
        if process.error is not None:
            raise process.error
        return process.value


def terminated() -> LuaError:
    """The error of a process that was ended by `process.terminate`."""
    return LuaError(_TERMINATED, kind="Canceled", retryable=False)
