"""A shard in a simulated world: the world chooses which of its actors takes the next step, and faults strike them.

Source: ours (architecture, section 4).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from determinism.faults import exempt
from determinism.seams import Strike, World
from sandbox.errors import LuaError
from sandbox.vm import OP_EXIT, OP_HAZARD, OP_LINE, OP_SENT, Vm
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.shard import Shard
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Mode, Operation

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine

__all__ = ["SHARED", "SimulatedShard"]

#: Operations that answer at once and touch what actors share: scheduling points of a simulated world.
SHARED = (
    *("process.send", "process.spawn", "process.terminate", "process.cancel", "process.monitor", "process.unmonitor"),
    *("process.link", "process.unlink", "process.registry.register", "process.registry.lookup"),
    *("process.registry.unregister", "events.send", "events.subscribe", "events.close"),
    *("pg.join", "pg.leave", "pg.members", "pg.monitor"),
    *("system.lock.acquire", "system.lock.release", "env.set_now", "registry.get", "registry.find"),
)
_STORM_STEPS = 4


class SimulatedShard(Shard):
    """One VM and its actors, as a crew of the world."""

    def __init__(self, engine: Engine, name: str, memory_bytes: int) -> None:
        world = engine.environment.world
        assert world is not None
        self._world: World = world
        self._faults = engine.environment.faults
        self._next = 0
        self._held: dict[int, None] = {}
        self._woken: list[tuple[int, str]] = []
        self._storms: dict[str, int] = {}
        self._stepped: set[int] = set()
        self._line = ""
        self._lines: dict[tuple[int, int], str] = {}
        super().__init__(engine, name, memory_bytes)

    def _make_vm(self, random: Callable[[], float]) -> Vm:
        return Vm(self._host, random, self._memory_bytes, SHARED, lines=self._world.detail)

    # Crew ------------------------------------------------------------------------------------------------------
    def take_ready(self) -> Sequence[tuple[int, str]]:
        """See `determinism.seams.Crew`."""
        woken, self._woken = self._woken, []
        found = self.vm.take_ready()
        if found is None:
            return woken
        for number in found if isinstance(found, tuple) else (found,):
            if number in self._held:
                self._held[number] = None
                continue
            actor = self.actors.get(number)
            if actor is not None:
                woken.append((number, name_of(actor)))
        return woken

    def run_next(self, number: int) -> None:
        """See `determinism.seams.Crew`."""
        self._next = number

    # running ---------------------------------------------------------------------------------------------------
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run one actor at a time, as the world says, until `close`."""
        exempt.set(False)  # whoever opened the host: each of its actors is asked about by name
        self._world.adopt(self)
        await super().run(task_status)

    def _go_on(self) -> bool:
        return self.turn()  # the world is asked before each

    def turn(self) -> bool:
        """One step of the chosen actor; True, so that the world is asked again, until nothing came of it."""
        chosen = self._next
        super().turn()
        return chosen != 0 or self._next != 0

    def _advance(self) -> Any:
        number, self._next = self._next, 0
        actor = self.actors.get(number)
        if actor is None:
            return self.vm.run_one(0)
        name = name_of(actor)
        unstruck = self._world.is_exempt(name)
        if actor.frame.entry is not None and not unstruck and self._struck(actor, name):
            return self.vm.run_one(0)
        self._world.record(name, "step")
        before = exempt.set(unstruck)  # what it does at once, such as to look at the clock
        try:
            result = self.vm.run_one(number)
        finally:
            exempt.reset(before)
        if type(result) is tuple:
            actors = self.actors
            for at in range(1, len(result), 5):
                if result[at] == OP_EXIT:
                    ended = actors.get(result[at + 1])
                    if ended is not None:
                        ok = "ended" if result[at + 2] == 1 else "failed"
                        self._world.record(name_of(ended), "exit", ok, result[at + 3])
                elif result[at] > 0 and isinstance(result[at + 4], bytes):
                    self._lines[result[at + 1], result[at + 2]] = f" at {_text(result[at + 4])}"
        return result

    # faults ----------------------------------------------------------------------------------------------------
    def _struck(self, actor: LuaActor, name: str) -> bool:
        """Whether a fault took the place of the step."""
        faults, entry = self._faults, str(actor.frame.entry)
        if actor.actor_id not in self._stepped:
            self._stepped.add(actor.actor_id)
            left = self._storms.get(entry, 0)
            if left > 0:
                self._storms[entry] = left - 1
                return self._crash(actor, "supervisor_storm")
        if faults.strike("actor_crash", entry) is not None:
            return self._crash(actor, "actor_crash")
        if strike := faults.strike("actor_hang", entry):
            self._hang(actor, name, strike)
            return True
        if actor.unit is None:
            return False  # a call: nobody starts it again, and its VM is no host
        if strike := faults.strike("supervisor_storm", entry):
            self._storms[entry] = 1 + int(strike.draw * _STORM_STEPS)
            return self._crash(actor, "supervisor_storm")
        if faults.strike("host_kill", self.name) is not None:
            self._world.record(self.name, "fault", "host_kill")
            self._collapse(LuaError("injected fault: host_kill", kind="Unavailable", retryable=True))
            self._world.host_killed(self.name)
            return True
        if strike := faults.strike("host_restart", self.name):
            self.engine.start_soon(partial(self._restart_host, strike))
        return False

    def _crash(self, actor: LuaActor, kind: str) -> bool:
        self.fail(actor, LuaError(f"injected fault: {kind}", kind="Unavailable", retryable=True))
        return True

    def _hang(self, actor: LuaActor, name: str, strike: Strike) -> None:
        number = actor.actor_id
        self._held[number] = None

        async def later() -> None:
            await trio.sleep(strike.lasts_s)
            del self._held[number]
            if number in self.actors:
                self._woken.append((number, name))
                self.wake()

        self.engine.start_soon(later)

    async def _restart_host(self, strike: Strike) -> None:
        supervisor, id_ = self.runtime.extras["supervisor"], EntryId.parse(self.name)
        if supervisor.get(id_) is None:
            return
        every = supervisor.order(item.id for item in supervisor.all())
        above = [one for one in every if supervisor.get(one).is_wanted() and id_ in supervisor.order([one])]
        for one in reversed(above):
            await supervisor.stop(one)
        await trio.sleep(strike.lasts_s)
        for one in above:
            with contextlib.suppress(LuaError):  # its own restart policy goes on from there
                await supervisor.start(one)

    # trace -----------------------------------------------------------------------------------------------------
    def enter(self, actor: LuaActor, function: Callable[..., Any], *args: object) -> Any:
        """See `Shard.enter`."""
        vm = self.vm
        if function is vm.resolve:
            self._world.record(name_of(actor), "answer", str(args[0]), _bytes(args[-1]))
        elif function is vm.deliver:
            self._world.record(name_of(actor), "message", f"{_text(args[0])} from {_text(args[1])}", _bytes(args[2]))
        elif function is vm.event:
            self._world.record(name_of(actor), "event", "", _bytes(args[0]))
        elif function is vm.start or function is vm.call:
            self._world.record(name_of(actor), "begin", actor.pid)
        return super().enter(actor, function, *args)

    def _issue(self, actor: LuaActor, operation: Operation, command: int, data: bytes) -> None:
        line = self._lines.pop((actor.actor_id, command), "")
        self._world.record(name_of(actor), "issue", f"{operation.name} {command}{line}", data)
        super()._issue(actor, operation, command, data)

    def _task_name(self, actor: LuaActor, operation: Operation) -> str:
        return f"{name_of(actor)} {operation.name}"

    async def _serve(
        self, actor: LuaActor, operation: Operation, command: tuple[int, bytes], scope: trio.CancelScope
    ) -> None:
        exempt.set(self._world.is_exempt(name_of(actor)))  # a task has its own; it may have been begun by anyone
        await super()._serve(actor, operation, command, scope)

    def _host(self, op: int, number: int = 0, *args: Any) -> object:
        if op == OP_SENT:
            about = f"{_text(args[1])} to {_text(args[0])}"
            more = _bytes(args[2]) if len(args) > 2 else b""
            self._world.record(name_of(self.actors[number]), "sent", about + _at(args[3:]), more)
            return None
        if op < 0:
            self._told(op, number, args)
            return None
        answer = super()._host(op, number, *args)
        if op > 0:
            operation, actor = self._operations[op - 1], self.actors.get(number)
            if actor is not None and operation.mode is Mode.IMMEDIATE:
                data = _bytes(args[0]) if args else b""
                if isinstance(answer, tuple) and isinstance(answer[-1], bytes):
                    data += answer[-1]
                self._world.record(name_of(actor), "call", operation.name + _at(args[1:2]), data)
            elif actor is not None and self._world.detail:
                told = f"{args!r} -> {answer!r}".encode()
                self._world.record(name_of(actor), "raw", f"{operation.name} at {self._line}", told)
        return answer

    def _told(self, op: int, number: int, args: Sequence[object]) -> None:
        if op == OP_LINE:
            self._line = _text(args[0])
        elif op == OP_HAZARD:
            self._world.record(name_of(self.actors[number]), "hazard", _text(args[0]) + _at(args[1:]))


def name_of(actor: LuaActor) -> str:
    """An actor's name in traces and schedules: its entry, and what is unique in its PID."""
    return f"{actor.frame.entry}|{actor.pid.rpartition('|')[2][:-1]}"


def _at(line: Sequence[object]) -> str:
    """Where in Lua, as far as that is told."""
    return f" at {_text(line[0])}" if line and line[0] else ""


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""
