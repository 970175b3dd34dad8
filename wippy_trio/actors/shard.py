"""A shard: one Lua VM, its actors, and the task that runs them.

Messages between actors of a shard never pass through trio; the shard's task drains the VM's run queue, starts a task
in the actor's nursery for each command that waits, and hands back the answers. Source: ours (engine.md, decision 4).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import ArgumentError, LuaError, Raised
from sandbox.values import Handle, Multi, Packed, pack, pack_list, unpack
from sandbox.vm import OP_CANCEL, OP_DRAIN, OP_EXIT, LuaMemoryError, LupaError, Vm
from wippy_trio.actors.actor import LuaActor, Outcome
from wippy_trio.core.errors import InternalError, PermissionDeniedError, UnavailableError
from wippy_trio.module import Mode, Operation, Permission

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine, Unit
    from wippy_trio.runtime import Runtime

__all__ = ["Shard"]


class Shard:
    """One VM and its actors.

    Args:
        engine: operations, modules and units.
        name: for logs.
        memory_bytes: heap limit of the VM.
    """

    def __init__(self, engine: Engine, name: str, memory_bytes: int) -> None:
        self.engine = engine
        self.name = name
        self.actors: dict[int, LuaActor] = {}
        self._memory_bytes = memory_bytes
        self._units: set[int] = set()
        self._modules: set[str] = set()
        self._next_actor = 0
        self._event = trio.Event()
        self._awake = False
        self._operations: list[Operation] = engine.operations
        self._cpu_s: Callable[[], float] = engine.environment.clock.cpu_s
        self.vm = self._new_vm()

    @property
    def runtime(self) -> Runtime:
        return self.engine.runtime

    def _new_vm(self) -> Vm:
        entropy = self.engine.environment.entropy.fork(f"lua/{self.name}")
        vm = Vm(self._host, entropy.random, self._memory_bytes)
        self._units.clear()
        self._modules.clear()
        for name in self.engine.always:
            self._need_module(vm, name)
        return vm

    def _need_module(self, vm: Vm, name: str) -> None:
        if name in self._modules:
            return
        module = self.engine.module(name)
        assert module is not None, name
        self._modules.add(name)
        for needed in module.needs:
            self._need_module(vm, needed)
        vm.add_module(
            name, self.engine.prelude(module), self.engine.operation_indices(module), always=name in self.engine.always
        )

    # actors ----------------------------------------------------------------------------------------------------
    def new_actor(self, pid: str) -> LuaActor:
        """An actor record; `vm.start` or `vm.open` gives it life."""
        self._next_actor += 1
        actor = LuaActor(self, self._next_actor, pid)
        self.actors[actor.actor_id] = actor
        return actor

    def ensure(self, unit: Unit) -> int:
        """Make sure the VM knows the unit (and those it imports); returns its number.

        Raises:
            InvalidError: the source does not compile.
        """
        if unit.number not in self._units:
            for imported in unit.imports.values():
                self.ensure(imported)
            for name in unit.modules.values():
                self._need_module(self.vm, name)
            aliases = {alias: imported.number for alias, imported in unit.imports.items()}
            problem = self.vm.define(unit.number, unit.name, unit.source, unit.chunk, unit.modules, aliases)
            if problem is not None:
                message = f"{unit.name}: {problem}"
                raise InternalError(message)
            self._units.add(unit.number)
        return unit.number

    def kill(self, actor: LuaActor) -> None:
        """End an actor at once, without a word to it."""
        self.actors.pop(actor.actor_id, None)
        self.vm.kill(actor.actor_id)

    # running ---------------------------------------------------------------------------------------------------
    def wake(self) -> None:
        """There may be something to run."""
        if not self._awake:
            self._awake = True
            self._event.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the VM's ready actors for ever."""
        task_status.started()
        while True:
            await self._event.wait()
            self._event = trio.Event()
            self._awake = False
            while self.turn():
                await trio.lowlevel.checkpoint()

    def turn(self) -> bool:
        """One go of the VM; True when more actors are ready."""
        try:
            result = self.vm.run()
        except (LuaMemoryError, LupaError, MemoryError) as problem:
            self._collapse(problem)
            return False
        if result is True or result is False:
            return bool(result)
        actors = self.actors
        for at in range(1, len(result), 5):
            op, number, command, data, extra = result[at : at + 5]
            actor = actors.get(number)
            if actor is None:
                continue
            if op > 0:
                self._issue(actor, self._operations[op - 1], command, data)
            elif op == OP_EXIT:
                if not extra:
                    del actors[number]
                if actor.on_end is not None:
                    actor.on_end(Outcome(command == 1, data))
            elif op == OP_CANCEL:
                scope = actor.commands.get(command)
                if scope is not None:
                    scope.cancel()
            elif op == OP_DRAIN:
                actor.drained(command)
        return bool(result[0])

    def _issue(self, actor: LuaActor, operation: Operation, command: int, data: bytes) -> None:
        nursery = actor.nursery
        if nursery is None:
            actor.in_nursery(partial(_start, self._serve, actor, operation, command, data))
            return
        try:
            nursery.start_soon(self._serve, actor, operation, command, data)
        except RuntimeError:  # closed to new arrivals: the call is being cancelled, and nobody waits for the answer
            self.runtime.log.debug("command of an ending process dropped", pid=actor.pid, operation=operation.name)

    def _collapse(self, problem: BaseException) -> None:
        """The kernel itself failed (memory): every actor of the shard ends, the VM is made anew."""
        reason = "memory limit of the host's VM exceeded" if isinstance(problem, (LuaMemoryError, MemoryError)) else ""
        error = UnavailableError(f"host VM {self.name} failed: {reason or problem}")
        self.runtime.log.error("host VM failed; its actors end", host=self.name, error=str(problem))
        ended, self.actors = list(self.actors.values()), {}
        self.vm = self._new_vm()
        data = pack([error])
        for actor in ended:
            if actor.on_end is not None:
                actor.on_end(Outcome(ok=False, data=data))

    # operations ------------------------------------------------------------------------------------------------
    def _host(self, op: int, number: int = 0, *args: Any) -> object:
        if op == 0:
            return self._cpu_s()
        operation = self._operations[op - 1]
        actor = self.actors.get(number)
        if actor is None:
            return 2, pack("the process has ended")
        try:
            if operation.mode is Mode.RAW:
                result = operation.handler(actor, *args)
                return (0, *result) if isinstance(result, tuple) else (0, result)
            values = self._arguments(actor, operation, args[0])
            return 0, _pack_result(operation.handler(actor, *values))
        except BaseException as problem:  # noqa: BLE001 - nothing may pass through Lua's C frames
            return self._failure(actor, operation, problem)

    async def _serve(self, actor: LuaActor, operation: Operation, command: int, data: bytes) -> None:
        with trio.CancelScope() as scope:
            actor.commands[command] = scope
            status, answer = 1, b""
            try:
                values = self._arguments(actor, operation, data)
                status, answer = 0, _pack_result(await operation.handler(actor, *values))
            except trio.Cancelled:
                raise
            except BaseException as problem:  # noqa: BLE001 - becomes Lua's error, or a logged crash
                status, answer = self._failure(actor, operation, problem)
            finally:
                actor.commands.pop(command, None)
            self.vm.resolve(actor.actor_id, command, status, answer)
            self.wake()
        if scope.cancelled_caught:
            error = LuaError("operation canceled", kind="Canceled", retryable=False)
            self.vm.resolve(actor.actor_id, command, 1, pack(error))
            self.wake()

    def _arguments(self, actor: LuaActor, operation: Operation, data: bytes) -> list[Any]:
        values: list[Any] = unpack(data)
        for at, value in enumerate(values):
            if type(value) is Handle:
                values[at] = actor.resolve(value)
        if operation.permission is not None:
            _check(actor, operation.permission, values)
        return values

    def _failure(self, actor: LuaActor, operation: Operation, problem: BaseException) -> tuple[int, bytes]:
        if isinstance(problem, BaseExceptionGroup):
            inner = _only_lua_error(problem)
            if inner is not None:
                problem = inner
        if isinstance(problem, ArgumentError):
            return 2, pack(problem.message)
        if isinstance(problem, Raised):
            return 2, pack(problem if problem.kind else problem.message)
        if isinstance(problem, LuaError):
            return 1, pack(problem)
        if isinstance(problem, TypeError) and _is_signature_error(problem):
            return 2, pack(f"bad arguments to {operation.name}: {problem}")
        if isinstance(problem, (KeyboardInterrupt, SystemExit)):
            self.engine.interrupted(problem)
            return 2, pack("interrupted")
        trace = "".join(traceback.format_exception(problem))
        self.runtime.log.error("internal error in an operation", operation=operation.name, pid=actor.pid, trace=trace)
        error = InternalError(f"internal error in {operation.name}: {type(problem).__name__}: {problem}")
        return 2, pack(error)


def _start(function: Callable[..., Any], *args_and_nursery: Any) -> None:
    *args, nursery = args_and_nursery
    nursery.start_soon(function, *args)


def _is_signature_error(problem: TypeError) -> bool:
    """A call that did not fit the handler's signature: the caller's fault, not ours."""
    frames = traceback.extract_tb(problem.__traceback__)
    return bool(frames) and frames[-1].name in {"_host", "_serve"} and "argument" in str(problem)


def _only_lua_error(group: BaseExceptionGroup[BaseException]) -> LuaError | None:
    found: list[LuaError] = []
    for item in group.exceptions:
        if isinstance(item, LuaError):
            found.append(item)
        elif isinstance(item, BaseExceptionGroup):
            inner = _only_lua_error(item)
            if inner is not None:
                found.append(inner)
    return found[0] if found else None


def _check(actor: LuaActor, permission: Permission, values: list[Any]) -> None:
    resource = permission.resource
    if isinstance(resource, int):
        text = str(values[resource]) if resource < len(values) else ""
    elif isinstance(resource, str):
        text = resource
    else:
        text = resource(*values)
    attributes = permission.attributes(*values) if permission.attributes is not None else {}
    if not actor.allowed(permission.action, text, attributes):
        wording = permission.message or f"not allowed: {permission.action} on {{resource}}"
        raise PermissionDeniedError(wording.format(resource=text))


def _pack_result(result: object) -> bytes:
    if type(result) is Packed:
        return result.data
    if type(result) is Multi:
        return pack_list(result.values)
    return pack([result])
