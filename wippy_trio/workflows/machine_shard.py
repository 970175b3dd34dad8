"""The VM that workflows run in: a shard without a task of its own, in which nothing touches the world.

One machine runs at a time, to quiescence. What its code asks of the host is either computed from the run's own time
and seed, or becomes a request to its machine (`machine_ops.py`), or is refused. Source: ours (architecture, section 4).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sandbox.values import as_text, pack
from sandbox.vm import OP_CANCEL, OP_EXIT, OP_HAZARD, LuaMemoryError, LupaError, Vm
from wippy_trio.actors.actor import LuaActor, Outcome
from wippy_trio.actors.shard import Shard, pack_result
from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.module import LATER, Mode, Operation, WorkflowRule

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.actors.engine import Engine
    from wippy_trio.core.ids import EntryId
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.machine import WorkflowMachine

__all__ = ["MachineActor", "MachineLostError", "MachineShard", "Request"]

_IDLE_LOOKS_S = 0.0


class MachineLostError(UnavailableError):
    """The VM of the workflows failed (memory); a machine made anew from the record goes on."""


class Request:
    """A waiting operation of a workflow: which one, the kernel's number for it, and the line that asked."""

    __slots__ = ("command", "line", "name")

    def __init__(self, name: str, command: int, line: str) -> None:
        self.name = name
        self.command = command
        self.line = line


class MachineActor(LuaActor):
    """The actor of a workflow: it sees the run's own time and randomness, and its messages go through the machine."""

    __slots__ = ("machine",)

    def __init__(self, shard: Shard, actor_id: int, pid: str, machine: WorkflowMachine) -> None:
        super().__init__(shard, actor_id, pid)
        self.machine = machine

    @property
    def runtime(self) -> Runtime:
        """The node's runtime with the run's environment in it."""
        return self.machine.runtime

    @property
    def environment(self) -> Environment:
        """The run's clock, entropy and ids."""
        return self.machine.runtime.environment

    @property
    def guarded(self) -> bool:
        """Always: a message is a command."""
        return True


class MachineShard(Shard):
    """A VM of workflows. `running` is the machine whose code runs now."""

    running: WorkflowMachine | None = None

    def __init__(self, engine: Engine, name: str, memory_bytes: int) -> None:
        #: Entries and lines that were warned of.
        self.warned: set[tuple[EntryId, str]] = set()
        super().__init__(engine, name, memory_bytes)

    def _new_vm(self) -> Vm:
        vm = Vm(self._host, self._random, self._memory_bytes, lines=True)
        self._units.clear()
        self._modules.clear()
        for name in self.engine.always:
            self._need_module(vm, name)
        return vm

    def _random(self) -> float:
        machine = self.running
        return 0.5 if machine is None else machine.draws.random()

    def new_machine_actor(self, pid: str, machine: WorkflowMachine) -> MachineActor:
        """An actor record for a machine."""
        self._next_actor += 1
        actor = MachineActor(self, self._next_actor, pid, machine)
        self.actors[actor.actor_id] = actor
        return actor

    def wake(self) -> None:
        """Nothing runs by itself here."""

    def settle(self, machine: WorkflowMachine) -> None:
        """Run the machine's actor until it waits or has ended.

        Raises:
            MachineLostError: the VM failed; every machine in it is lost.
        """
        while self.turn() and not machine.lost:
            pass
        if machine.lost:
            raise MachineLostError(f"the VM of {self.name} failed")

    def turn(self) -> bool:
        """One go of the VM; True when there is more to run, also because what it asked for is answered already."""
        try:
            result = self.vm.run()
        except (LuaMemoryError, LupaError, MemoryError) as problem:
            self._collapse(problem)
            return False
        if self._broken is not None:
            self._collapse(self._broken)
            return False
        if result is True or result is False:
            return bool(result)
        for at in range(1, len(result), 5):
            op, number, command, data, extra = result[at : at + 5]
            actor = self.actors.get(number)
            if not isinstance(actor, MachineActor):
                continue
            if op > 0:
                line = as_text(extra) if isinstance(extra, bytes) else ""
                self._request(actor, self._operations[op - 1], Request("", command, line), data)
            elif op == OP_EXIT:
                del self.actors[number]
                actor.machine.ended(Outcome(command == 1, data))
            elif op == OP_CANCEL:
                actor.machine.cancelled(command)
        return True  # what was asked may have been answered

    def _collapse(self, problem: BaseException) -> None:
        self.runtime.log.error("VM of workflows failed; they go on from their record", error=str(problem))
        lost, self.actors = list(self.actors.values()), {}
        self._broken = None
        self.vm = self._new_vm()
        for actor in lost:
            if isinstance(actor, MachineActor):
                actor.machine.lost = True

    # what the code asks of the host ----------------------------------------------------------------------------------
    def _host(self, op: int, number: int = 0, *args: Any) -> object:
        machine = self.running
        if op == OP_HAZARD and machine is not None:
            machine.hazard(as_text(args[0]), as_text(args[1]))
            return 0, None
        if op <= 0:
            return _IDLE_LOOKS_S if machine is None else machine.look()
        operation = self._operations[op - 1]
        actor = self.actors.get(number)
        if machine is None or not isinstance(actor, MachineActor):
            return 2, pack("the workflow has ended")
        try:
            if operation.mode is Mode.RAW:
                if operation.name == "print.write" and machine.replaying:
                    return 0, None
                result = operation.handler(actor, *args)
                return (0, *result) if isinstance(result, tuple) else (0, result)
            now = machine.immediate(operation.name)
            if now is None and machine.waits_for(operation.name):
                return 3, args[0], op
            values = self._arguments(actor, operation, args[0])
            if now is None:
                refuse(operation)
                result = operation.handler(actor, *values)
                if result is LATER:
                    return 3, args[0], op
            else:
                machine.line = as_text(args[1])
                result = now(*values)
            return 0, pack_result(result)
        except BaseException as problem:  # noqa: BLE001 - nothing may pass through Lua's C frames
            return self._failure(actor, operation, problem)

    def _request(self, actor: MachineActor, operation: Operation, request: Request, data: bytes) -> None:
        machine = actor.machine
        request.name = operation.name
        try:
            values = self._arguments(actor, operation, data)
            if machine.waits_for(operation.name):
                machine.perform(request, values)
            else:
                refuse(operation)
                result = _at_once(operation.handler, actor, values)
                self.vm.resolve(actor.actor_id, request.command, 0, pack_result(result))
        except Exception as problem:  # noqa: BLE001 - becomes Lua's error, or a logged crash
            self.vm.resolve(actor.actor_id, request.command, *self._failure(actor, operation, problem))


def _at_once(handler: Callable[..., Any], actor: MachineActor, values: list[Any]) -> Any:
    """The result of an async handler that has nothing to wait for in a workflow's environment."""
    pending = handler(actor, *values)
    if not inspect.iscoroutine(pending):
        return pending
    running: Coroutine[Any, Any, Any] = pending
    try:
        running.send(None)
    except StopIteration as done:
        return done.value
    running.close()
    raise InvalidError(f"{handler.__name__}: waits for the world, which a workflow cannot")


def refuse(operation: Operation) -> None:
    """Refuse an operation that a workflow may not use.

    Raises:
        InvalidError: with what to use instead.
    """
    if operation.workflow is WorkflowRule.FORBIDDEN:
        advice = _ADVICE.get(operation.name, "call a function that does it: funcs.call runs it as an activity")
        raise InvalidError(f"{operation.name} not supported in workflow context: {advice}")


_ADVICE = {
    "process.monitor": "child workflows are monitored without being asked",
    "process.unmonitor": "child workflows are monitored without being asked",
    "process.link": "a child's end comes as an event; what it failed of is in its result",
    "process.unlink": "workflows have no links",
    "process.upgradable": "code changes are met by workflow.version, or by process.upgrade",
}
