"""A shard: one Lua VM, its actors, and the task that runs them.

Messages between actors of a shard never pass through trio; the shard's task drains the VM's run queue, starts a task
in the actor's nursery for each command that waits, and hands back the answers. Source: ours (engine.md, decision 4).
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import trio

from sandbox.errors import ArgumentError, LuaError, Raised
from sandbox.values import Handle, Multi, Packed, pack, pack_list, unpack
from sandbox.vm import OP_CANCEL, OP_DRAIN, OP_EXIT, OP_SLOT, LuaMemoryError, LupaError, Vm
from wippy_trio.actors.actor import Child, Grant, LuaActor, Outcome, real_failure
from wippy_trio.actors.refusals import check, is_memory, is_signature_error, only_lua_error
from wippy_trio.core.errors import InternalError, UnavailableError
from wippy_trio.module import LATER, Mode, Operation

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine, Unit
    from wippy_trio.runtime import Runtime

__all__ = ["Shard", "pack_result"]

_TURNS_S = 0.001  # turns that follow one another without letting other tasks run
_MEMORY = "memory limit of the host's VM exceeded"


class Shard:
    """One VM and its actors.

    Args:
        engine: operations, modules and units.
        name: for logs.
        memory_bytes: heap limit of the VM.
    """

    def __init__(self, engine: Engine, name: str, memory_bytes: int) -> None:
        self.engine = engine
        self.runtime: Runtime = engine.runtime
        self.name = name
        self.actors: dict[int, LuaActor] = {}
        self._memory_bytes = memory_bytes
        self._units: set[int] = set()
        self._modules: set[str] = set()
        self._next_actor = 0
        self._event = trio.Event()
        self._awake = False
        self._scope = trio.CancelScope()
        self._broken: BaseException | None = None
        self._abandoned: deque[Child] = deque()
        #: Whether calls of functions may stay in this VM, and what was granted to it for that, by number.
        self.calls_inside = False
        self.grants: dict[int, Grant] = {}
        self.next_grant = 0
        self._operations: list[Operation] = engine.operations
        self._cpu_s: Callable[[], float] = engine.environment.clock.cpu_s
        self.vm = self._new_vm()

    def _new_vm(self) -> Vm:
        entropy = self.engine.environment.entropy.fork(f"lua/{self.name}")
        vm = self._make_vm(entropy.random)
        self._units.clear()
        self._modules.clear()
        for name in self.engine.always:
            self._need_module(vm, name)
        return vm

    def _make_vm(self, random: Callable[[], float]) -> Vm:
        return Vm(self._host, random, self._memory_bytes)

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
    def new_actor(self, pid: str, actor_id: int = 0) -> LuaActor:
        """An actor record; `vm.start` or `vm.open` gives it life, unless it has it already, under its `actor_id`."""
        if not actor_id:
            self._next_actor += 1
            actor_id = self._next_actor
        actor = self.actors[actor_id] = LuaActor(self, actor_id, pid)
        return actor

    def ensure(self, unit: Unit) -> int:
        """Make sure the VM knows the unit (and those it imports); returns its number.

        Raises:
            InternalError: the source does not compile.
            UnavailableError: it does not fit into the VM's memory.
        """
        try:
            return self._ensure(unit)
        except MemoryError as problem:
            message = f"{unit.name}: {_MEMORY}"
            raise UnavailableError(message) from problem

    def _ensure(self, unit: Unit) -> int:
        if unit.number not in self._units:
            for imported in unit.imports.values():
                self._ensure(imported)
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
        self.wake()  # whoever waited for room in its mailbox goes on

    def abandon(self, child: Child) -> None:
        """End a call whose caller is over, and then the calls that it made itself: a long chain, but no deep one."""
        self._abandoned.append(child)
        if len(self._abandoned) == 1:
            while self._abandoned:
                self._abandoned[0].abandon()
                self._abandoned.popleft()

    def fail(self, actor: LuaActor, error: LuaError) -> None:
        """End an actor with an error, as if its own code had raised it."""
        self.enter(actor, self.vm.fail, pack([error]))
        self.wake()

    def forget(self, unit: Unit) -> None:
        """Drop a unit that nobody starts any more; actors that run it keep their code."""
        if unit.number in self._units:
            self._units.discard(unit.number)
            self.vm.drop(unit.number)

    def enter(self, actor: LuaActor, function: Callable[..., Any], *args: object) -> Any:
        """Call a kernel function for an actor: `function(actor_id, *args)`.

        What does not fit into the VM's memory ends the actor it was for, and None is returned; where not even that
        fits, the next turn ends them all.
        """
        try:
            return function(actor.actor_id, *args)
        except (LuaMemoryError, LupaError, MemoryError) as problem:
            error = InternalError(f"{_MEMORY} ({problem})") if is_memory(problem) else InternalError(str(problem))
            data = pack([error])
            try:
                if not self.vm.fail(actor.actor_id, data) and self.actors.pop(actor.actor_id, None) is actor:
                    _end(actor, data)  # it did not even come to be
            except (LuaMemoryError, LupaError, MemoryError):
                self._broken = problem
            self.wake()
            return None

    # running ---------------------------------------------------------------------------------------------------
    def wake(self) -> None:
        """There may be something to run."""
        if not self._awake:
            self._awake = True
            self._event.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the VM's ready actors until `close`."""
        with self._scope:
            task_status.started()
            while True:
                await self._event.wait()
                self._event = trio.Event()
                self._awake = False
                while self._go_on():
                    await trio.lowlevel.checkpoint()

    def _void_grants(self) -> None:
        grants, self.grants = self.grants, {}
        for grant in grants.values():
            grant.void()

    def close(self) -> None:
        """End the shard's task; its actors must have ended."""
        self._void_grants()
        self._scope.cancel()

    def _go_on(self) -> bool:
        """Turns as long as they make each other work, and others have not waited long; True when there is more."""
        until_s = 0.0
        while True:
            if self.turn():
                return True
            if not self._awake:
                return False
            now_s = self._cpu_s()
            if not until_s:
                until_s = now_s + _TURNS_S
            elif now_s > until_s:
                return False  # the event is set: this task is run again after all others
            self._awake = False
            self._event = trio.Event()

    def _advance(self) -> Any:
        """Run the VM for a while: whether more actors are ready, and the commands, five values each."""
        return self.vm.run()

    def turn(self) -> bool:
        """One go of the VM; True when more actors are ready."""
        try:
            result = self._advance()
        except (LuaMemoryError, LupaError, MemoryError) as problem:
            self._collapse(problem)
            return False
        if self._broken is not None:
            self._collapse(self._broken)
            return False
        if result is True or result is False:
            return bool(result)
        actors = self.actors
        for at in range(1, len(result), 5):
            op, number, command, data, extra = result[at : at + 5]
            actor = actors.get(number)
            if actor is None:
                if op == OP_SLOT and command in self.grants:
                    self.grants[command].give_back()
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
        if operation.begin is not None and self._begun(actor, operation, command, data):
            return
        scope = actor.commands[command] = trio.CancelScope()  # there before the task: it may be cancelled at once
        args = actor, operation, (command, data), scope
        name = self._task_name(actor, operation)
        actor.in_nursery(lambda nursery: nursery.start_soon(self._serve, *args, name=name))

    def _task_name(self, actor: LuaActor, operation: Operation) -> str:
        """What trio calls the task that serves a command."""
        del actor
        return operation.name

    def _begun(self, actor: LuaActor, operation: Operation, command: int, data: bytes) -> bool:
        """Whether the operation was taken without a task of its own (or refused at once)."""
        assert operation.begin is not None
        try:
            return operation.begin(actor, command, self._arguments(actor, operation, data))
        except Exception as problem:  # noqa: BLE001 - becomes Lua's error, or a logged crash
            actor.answer(command, *self._failure(actor, operation, problem))
            return True

    def _collapse(self, problem: BaseException) -> None:
        """The kernel itself failed (memory): every actor of the shard ends, the VM is made anew."""
        error = UnavailableError(f"host VM {self.name} failed: {_MEMORY if is_memory(problem) else problem}")
        self.runtime.log.error("host VM failed; its actors end", host=self.name, error=str(problem))
        self._void_grants()
        ended, self.actors = list(self.actors.values()), {}
        self._broken = None
        self.vm = self._new_vm()
        data = pack([error])
        for actor in ended:
            _end(actor, data)

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
            result = operation.handler(actor, *values)
            return (3, args[0], op) if result is LATER else (0, pack_result(result))
        except BaseException as problem:  # noqa: BLE001 - nothing may pass through Lua's C frames
            return self._failure(actor, operation, problem)

    async def _serve(
        self, actor: LuaActor, operation: Operation, command: tuple[int, bytes], scope: trio.CancelScope
    ) -> None:
        number, data = command
        answer: tuple[int, bytes] | None = None
        try:
            with scope:
                if not scope.cancel_called:
                    answer = await self._answer(actor, operation, data)
        except BaseException as problem:
            if real_failure(problem) is not None:
                raise
            return  # the actor ends; passed on, cancellations would nest as deep as calls do
        finally:
            actor.commands.pop(number, None)
        if answer is None:
            answer = 1, pack(LuaError("operation canceled", kind="Canceled", retryable=False))
        self.enter(actor, self.vm.resolve, number, *answer)
        self.wake()

    async def _answer(self, actor: LuaActor, operation: Operation, data: bytes) -> tuple[int, bytes]:
        try:
            values = self._arguments(actor, operation, data)
            return 0, pack_result(await (operation.later or operation.handler)(actor, *values))
        except BaseException as problem:  # becomes Lua's error, or a logged crash
            failure = real_failure(problem)
            if failure is None:
                raise
            return self._failure(actor, operation, failure)

    def _arguments(self, actor: LuaActor, operation: Operation, data: bytes) -> list[Any]:
        values: list[Any] = unpack(data)
        for at, value in enumerate(values):
            if type(value) is Handle:
                values[at] = actor.resolve(value)
        if operation.permission is not None:
            check(actor, operation.permission, values)
        return values

    def _failure(self, actor: LuaActor, operation: Operation, problem: BaseException) -> tuple[int, bytes]:
        if isinstance(problem, BaseExceptionGroup):
            inner = only_lua_error(problem)
            if inner is not None:
                problem = inner
        if isinstance(problem, ArgumentError):
            return 2, pack(problem.message)
        if isinstance(problem, Raised):
            return 2, pack(problem if problem.kind else problem.message)
        if isinstance(problem, LuaError):
            return 1, pack(problem)
        if isinstance(problem, TypeError) and is_signature_error(problem):
            return 2, pack(f"bad arguments to {operation.name}: {problem}")
        if isinstance(problem, (KeyboardInterrupt, SystemExit)):
            self.engine.interrupted(problem)
            return 2, pack("interrupted")
        trace = "".join(traceback.format_exception(problem))
        self.runtime.log.error("internal error in an operation", operation=operation.name, pid=actor.pid, trace=trace)
        error = InternalError(f"internal error in {operation.name}: {type(problem).__name__}: {problem}")
        return 2, pack(error)


def _end(actor: LuaActor, data: bytes) -> None:
    if actor.on_end is not None:
        actor.on_end(Outcome(ok=False, data=data))


def pack_result(result: object) -> bytes:
    """What a handler returned, encoded as the list of results that Lua gets."""
    if type(result) is Packed:
        return result.data
    if type(result) is Multi:
        return pack_list(result.values)
    return pack([result])
