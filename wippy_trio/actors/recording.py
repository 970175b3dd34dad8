"""A host that records what its processes are given, so that each can be run again alone. Source: ours.

A recorded process is stepped one at a time, and everything reaches it through Python: messages from its own VM too.
Nothing of this exists in a host without `record` (docs/guides/simulation.md, "Record in production").

Events of a journal, in order; what comes during a step comes before the call in which it came:
    step (looks at the clock)                            the process runs until it waits
    call (operation, arguments, answer)                  it asked for something that is answered at once
    draw (numbers)                                       it drew random numbers
    issue (operation, command, arguments)                it asked for something that takes time
    cancel (command)                                     it no longer waits for that
    end (ok, data)                                       it ended
    resolve (command, status, data)                      the answer to an `issue`
    message (topic, from, data, state), event (data)     into its mailbox
    feed (source, data, state), close_feed (source)      into a channel that the host fills
    fail (data), kill ()                                 it was ended from outside
    lost (problem)                                       its VM failed
"""

from __future__ import annotations

import hashlib
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs

from determinism.journal import Journal, encode_journal
from sandbox.vm import OP_CANCEL, OP_EXIT, Vm
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.shard import Shard
from wippy_trio.core.errors import InvalidError, NotFoundError, UnavailableError
from wippy_trio.module import Mode

if TYPE_CHECKING:
    from determinism.seams import Disk
    from wippy_trio.actors.engine import Engine, Unit
    from wippy_trio.runtime import Runtime

__all__ = ["RecordOptions", "RecordedActor", "RecordingShard", "fingerprint", "write_journal"]

VERSION = 1
_RUN_S = 0.010
_COMMANDS = 1_000  # values that one go returns, about
_HANDED = 5_000  # values that the kernel hands over at once
_WRITES = 8  # journals being written at once
_UNTIMED_LOOKS = 2  # a step that took these only did not depend on the time
_MEBIBYTE = 1024 * 1024


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@attrs.frozen(slots=True)
class RecordOptions:
    """What a host keeps of its processes.

    Attributes:
        max_events, max_bytes: bounds of a process's journal; the oldest events go first.
        dir: where journals are written, below the project's folder unless absolute.
        max_files: journals that one life of the host leaves there; the oldest of them go first.
        ends: `failed`: those of processes that failed; `all`: of all that ended.
    """

    max_events: int = 10_000
    max_bytes: int = 16 * _MEBIBYTE
    dir: str = ".wippy/records"
    max_files: int = 100
    ends: str = "failed"

    @classmethod
    def parse(cls, value: object, where: str) -> RecordOptions | None:
        """Options as an entry has them: a map, or `true` for the defaults; None for nothing or `false`.

        Raises:
            InvalidError: an unknown or malformed field; it begins with `where`.
        """
        if value is None or value is False:
            return None
        if value is True:
            return cls()
        if not isinstance(value, Mapping):
            raise InvalidError(f"{where}: record must be a map or a boolean")
        known = {field.name for field in attrs.fields(cls)}
        for name, item in value.items():
            if name not in known:
                raise InvalidError(f"{where}: unknown field record.{name}; there are {', '.join(sorted(known))}")
            if name.startswith("max_") and not _positive(item):
                raise InvalidError(f"{where}: record.{name} must be greater than 0")
        made = cls(**value)
        if not made.dir or type(made.dir) is not str:
            raise InvalidError(f"{where}: record.dir must be a folder")
        if made.ends not in {"failed", "all"}:
            raise InvalidError(f"{where}: record.ends must be failed or all")
        return made


class RecordedActor(LuaActor):
    """A process whose inputs are recorded."""

    __slots__ = ("begun", "journal", "units")

    def __init__(self, shard: Shard, actor_id: int, pid: str, journal: Journal) -> None:
        super().__init__(shard, actor_id, pid)
        self.journal = journal
        #: How it was started, for the journal's header.
        self.begun: dict[str, Any] = {}
        #: The code it has run, by number.
        self.units: dict[int, Unit] = {}

    @property
    def guarded(self) -> bool:
        """Always: what it sends goes through the host, and so is recorded."""
        return True

    def close_feed(self, source: int) -> None:
        """See `module.Call.close_feed`."""
        self.journal.add("close_feed", source)
        super().close_feed(source)

    def uses(self, unit: Unit | None) -> None:
        """It runs a unit from now on, and what that imports."""
        if unit is not None and unit.number not in self.units:
            self.units[unit.number] = unit
            for imported in unit.imports.values():
                self.uses(imported)


class RecordingShard(Shard):
    """One VM and its actors, each with a journal.

    Args:
        engine, name, memory_bytes: see `Shard`.
        options: bounds, and where journals go.
    """

    def __init__(self, engine: Engine, name: str, memory_bytes: int, options: RecordOptions) -> None:
        self._options = options
        self._ready: deque[int] = deque()
        self._running: RecordedActor | None = None
        self._looks: list[float] = []
        self._written: deque[str] = deque()
        self._writing = 0
        super().__init__(engine, name, memory_bytes)

    def _make_vm(self, random: Callable[[], float]) -> Vm:
        def draw() -> float:
            value = random()
            if self._running is not None:
                self._running.journal.drew(value)
            return value

        return Vm(self._host, draw, self._memory_bytes, lines=True)  # as the VM of the replay, which tells lines

    def new_actor(self, pid: str, actor_id: int = 0) -> LuaActor:
        """See `Shard.new_actor`."""
        if not actor_id:
            self._next_actor += 1
            actor_id = self._next_actor
        journal = Journal(self._options.max_events, self._options.max_bytes)
        actor = self.actors[actor_id] = RecordedActor(self, actor_id, pid, journal)
        return actor

    # running ---------------------------------------------------------------------------------------------------
    def _advance(self) -> Any:
        vm, ready = self.vm, self._ready
        made: list[Any] = []
        self._collect(vm.run_one(0), made)  # what came of events and failures
        self._take_ready()
        until_s = self._cpu_s() + _RUN_S
        while ready and len(made) < _COMMANDS:
            self._step(ready.popleft(), made)
            self._take_ready()
            if self._cpu_s() > until_s:
                break
        return [bool(ready), *made]

    def _take_ready(self) -> None:
        found = self.vm.take_ready()
        if isinstance(found, tuple):
            self._ready.extend(found)
        elif found is not None:
            self._ready.append(found)

    def _step(self, number: int, made: list[Any]) -> None:
        actor = self.actors.get(number)
        if not isinstance(actor, RecordedActor):
            self._collect(self.vm.run_one(number), made)
            return
        looks: list[float] = []
        actor.journal.add("step", looks)
        self._looks = looks
        self._running = actor
        try:
            result = self.vm.run_one(number)
        finally:
            self._running = None
        if len(looks) <= _UNTIMED_LOOKS:
            del looks[1:]
        self._collect(result, made)

    def _collect(self, result: Any, made: list[Any]) -> None:
        """Keep the commands of a step, and record those of recorded actors."""
        while result is not True and result is not False:
            for at in range(1, len(result), 5):
                op, number, command, data, _extra = values = result[at : at + 5]
                made.extend(values)
                actor = self.actors.get(number)
                if not isinstance(actor, RecordedActor):
                    continue
                if op > 0:
                    actor.journal.add("issue", self._operations[op - 1].name, command, data)
                elif op == OP_CANCEL:
                    actor.journal.add("cancel", command)
                elif op == OP_EXIT:
                    actor.journal.add("end", command == 1, data)
                    self._save(actor, failed=command != 1)
            if len(result) <= _HANDED:
                return
            result = self.vm.run_one(0)

    # what it is given ------------------------------------------------------------------------------------------
    def enter(self, actor: LuaActor, function: Callable[..., Any], *args: Any) -> Any:
        """See `Shard.enter`."""
        result = super().enter(actor, function, *args)
        if isinstance(actor, RecordedActor):
            vm, journal = self.vm, actor.journal
            if function is vm.deliver:
                journal.add("message", *args, result)
            elif function is vm.resolve:
                journal.add("resolve", *args)
            elif function is vm.event:
                journal.add("event", *args)
            elif function is vm.feed:
                journal.add("feed", *args, result)
            elif function is vm.fail:
                journal.add("fail", *args)
            elif function is vm.start:
                self._begin(actor, args)
        return result

    def _begin(self, actor: RecordedActor, args: tuple[Any, ...]) -> None:
        _pid, unit, method, data, cpu_s, mailbox, _guarded = args
        clock = self.engine.environment.clock
        actor.uses(actor.unit)
        actor.begun = {
            "entry": str(actor.frame.entry),
            "host": self.name,
            "pid": actor.pid,
            "actor": actor.actor_id,
            "unit": unit,
            "method": method.decode(),
            "args": data.hex(),
            "cpu_s": cpu_s,
            "mailbox": mailbox,
            "memory_bytes": self._memory_bytes,
            "began_ns": clock.wall_ns(),
            "began_s": self._cpu_s(),
        }

    def _host(self, op: int, number: int = 0, *args: Any) -> object:
        if op <= 0:
            now_s = self._cpu_s()
            if self._running is not None:
                self._looks.append(now_s)
            return now_s
        actor = self.actors.get(number)  # before: it may end itself by what it asks for
        answer = super()._host(op, number, *args)
        if isinstance(actor, RecordedActor):
            operation = self._operations[op - 1]
            told = args[:1] if operation.mode is Mode.IMMEDIATE else args  # then comes the line
            kept = answer if isinstance(answer, tuple) else (answer,)
            actor.journal.add("call", operation.name, told, kept[:1] if kept[0] == 3 else kept)
            if actor.unit is not None and actor.unit.number not in actor.units:
                actor.uses(actor.unit)  # it was upgraded
        return answer

    def kill(self, actor: LuaActor) -> None:
        """See `Shard.kill`."""
        super().kill(actor)
        if isinstance(actor, RecordedActor):
            actor.journal.add("kill")
            self._save(actor, failed=False)

    def _collapse(self, problem: BaseException) -> None:
        self._ready.clear()
        self._running = None
        for actor in list(self.actors.values()):
            if isinstance(actor, RecordedActor):
                actor.journal.add("lost", str(problem))
                self._save(actor, failed=True)
        super()._collapse(problem)

    # files -----------------------------------------------------------------------------------------------------
    def _save(self, actor: RecordedActor, *, failed: bool) -> None:
        """Write the journal of an actor that has ended, if it is to be kept."""
        if not (failed or self._options.ends == "all") or not actor.begun:
            return
        if self._writing >= _WRITES:
            self.runtime.log.warn("journal of a process dropped: too many end at once", pid=actor.pid)
            return
        self._writing += 1
        self.engine.start_soon(partial(self._write, actor))

    async def write(self, actor: RecordedActor) -> str:
        """Write the journal of an actor as it is now; returns the file's path.

        Raises:
            OSError: it cannot be written.
            TypeError: a call was answered with what a journal cannot hold.
        """
        seams = self.engine.environment
        journal = actor.journal
        head, events, dropped = self._header(actor), tuple(journal.events), journal.dropped
        place = posixpath.join(self.runtime.config.project_dir, self._options.dir)
        path = await seams.threads.run(_write_file, seams.disk, place, head, events, dropped)
        if path not in self._written:
            self._written.append(path)
        if len(self._written) > self._options.max_files:
            await seams.threads.run(seams.disk.remove, self._written.popleft())
        return path

    async def _write(self, actor: RecordedActor) -> None:
        try:
            path = await self.write(actor)
            self.runtime.log.info("journal of a process written", pid=actor.pid, path=path)
        except (OSError, TypeError) as problem:
            self.runtime.log.warn("journal of a process not written", pid=actor.pid, error=str(problem))
        finally:
            self._writing -= 1

    def _header(self, actor: RecordedActor) -> dict[str, Any]:
        units = [_unit_data(unit) for _, unit in sorted(actor.units.items())]
        made = fingerprint(self.engine, (name for unit in units for name in unit["modules"].values()))
        return {"version": VERSION, "runtime": made, "units": units, **actor.begun}


async def write_journal(runtime: Runtime, pid: str) -> str:
    """Write the journal of a live process as it is now; returns the file's path.

    Raises:
        NotFoundError: no such process, or its host records nothing.
        UnavailableError: it cannot be written.
    """
    actor = getattr(runtime.processes.find(pid), "actor", None)
    if not isinstance(actor, RecordedActor) or not isinstance(actor.shard, RecordingShard):
        message = f"no recorded process: {pid} (its host needs the field record)"
        raise NotFoundError(message)
    try:
        return await actor.shard.write(actor)
    except (OSError, TypeError) as problem:
        message = f"journal of {pid} not written: {problem}"
        raise UnavailableError(message, retryable=False) from problem


def _unit_data(unit: Unit) -> dict[str, Any]:
    return {
        "number": unit.number,
        "name": unit.name,
        "chunk": unit.chunk,
        "hash": hashlib.sha256(unit.source).hexdigest(),
        "source": unit.source.decode("utf-8", "surrogateescape"),
        "modules": dict(unit.modules),
        "imports": {alias: imported.number for alias, imported in unit.imports.items()},
    }


def _write_file(disk: Disk, place: str, head: Mapping[str, Any], events: Any, dropped: int) -> str:
    folder = disk.realpath(place)
    disk.mkdir(folder, parents=True)
    unique = str(head["pid"]).rpartition("|")[2].rstrip("}")
    name = str(head["entry"]).replace(":", ".").replace("/", ".")
    path = f"{folder}/{name}-{unique}.journal"
    with disk.open(path, "wb") as file:
        file.write(encode_journal(head, events, dropped))
    return path


@lru_cache(maxsize=1)
def _kernel() -> bytes:
    folder = files("sandbox") / "prelude"
    texts = sorted((item.name, item.read_bytes()) for item in folder.iterdir() if item.name.endswith(".lua"))
    return hashlib.sha256(repr(texts).encode()).digest()


def fingerprint(engine: Engine, modules: Iterable[str]) -> str:
    """What the code of the runtime below a program is: of the kernel and the Lua halves of `modules`, as hex."""
    made = hashlib.sha256(_kernel())
    for name in sorted({*engine.always, *modules}):
        module = engine.module(name)
        if module is not None:
            made.update(f"\0{name}\0".encode() + engine.prelude(module))
    return made.hexdigest()
