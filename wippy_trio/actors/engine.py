"""The Lua engine of a node: modules, operations, compiled units and shards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.types import SourceError, compile_source
from wippy_trio.actors.exits import ExitLog
from wippy_trio.actors.outdated import outdated, tell
from wippy_trio.actors.recording import RecordingShard, RecordOptions
from wippy_trio.actors.shard import Shard
from wippy_trio.actors.simulated import SimulatedShard
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, InvalidError, NotFoundError, SourcePosition
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Module, Operation

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.actors.actor import LuaActor
    from wippy_trio.runtime import Runtime

__all__ = ["Engine", "Limits", "Unit"]

_MEBIBYTE = 1024 * 1024
#: Globals of every unit that may nevertheless be listed in `modules` or required.
BUILT_IN = frozenset({"channel", "errors", "coroutine", "string", "table", "math", "payload", "process", "os"})


@attrs.frozen(slots=True)
class Limits:
    """Bounds of the sandbox: CPU seconds without waiting, messages a mailbox holds, heap bytes of a VM."""

    cpu_s: float = 0.8
    mailbox_count: int = 65_536
    memory_bytes: int = 512 * _MEBIBYTE


@attrs.frozen(slots=True, eq=False)
class Unit:
    """A compiled source: plain Lua text and what it may use. `number` is unique per version of the entry."""

    number: int
    entry: EntryId
    source: bytes
    modules: Mapping[str, str]
    imports: Mapping[str, Unit]

    @property
    def name(self) -> str:
        return str(self.entry)

    @property
    def chunk(self) -> str:
        return str(self.entry)


class Engine:
    """Modules, units and shards of a node.

    Args:
        environment: the seams.
        find_module: the Lua module of a name, None for an unknown one; asked once, at its first use.
        always: modules that are globals of every unit.
        limits: bounds of the sandbox.
    """

    def __init__(
        self,
        environment: Environment,
        find_module: Callable[[str], Module | None],
        always: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self.environment = environment
        self.limits = limits or Limits()
        self.always = tuple(always)
        self._find_module = find_module
        self._modules: dict[str, Module | None] = {}
        #: Every operation of the modules in use; an operation's index in Lua is its position + 1.
        self.operations: list[Operation] = []
        self._runtime: Runtime | None = None
        self._nursery: trio.Nursery | None = None
        self._entries: dict[EntryId, Entry] = {}
        self._units: dict[EntryId, Unit] = {}
        self._changed: set[EntryId] = set()
        self._next_unit = 0
        self._shards: list[Shard] = []
        self._preludes: dict[str, bytes] = {}
        self._first_operation: dict[str, int] = {}
        self.interruption: BaseException | None = None
        #: How processes ended of late.
        self.exits = ExitLog()

    @property
    def runtime(self) -> Runtime:
        assert self._runtime is not None
        return self._runtime

    def bind(self, runtime: Runtime, nursery: trio.Nursery) -> None:
        """Give the engine its runtime and the nursery its shards run in; once, by the app."""
        self._runtime = runtime
        self._nursery = nursery

    def interrupted(self, problem: BaseException) -> None:
        """A KeyboardInterrupt reached a host operation; the app ends with it."""
        self.interruption = problem
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    # modules ---------------------------------------------------------------------------------------------------
    def module(self, name: str) -> Module | None:
        """The module of that name; its operations are numbered at its first use."""
        if name not in self._modules:
            module = self._modules[name] = self._find_module(name)
            if module is not None:
                self._first_operation[name] = len(self.operations) + 1
                self.operations.extend(module.operations.values())
        return self._modules[name]

    def operation_indices(self, module: Module) -> dict[str, int]:
        """Operation name -> index in Lua."""
        first = self._first_operation[module.name]
        return {name: first + at for at, name in enumerate(module.operations)}

    def prelude(self, module: Module) -> bytes:
        """Text of a module's Lua half."""
        text = self._preludes.get(module.name)
        if text is None:
            if module.prelude:
                text = (files(module.package) / module.prelude).read_bytes()
            else:
                text = _UNBUILT.replace("MODULE", module.name).encode()
            self._preludes[module.name] = text
        return text

    # units -----------------------------------------------------------------------------------------------------
    def add_entry(self, entry: Entry) -> None:
        """Make a Lua entry known, in the place of an earlier version; compiles it: a syntax error rejects it.

        Raises:
            ConfigError: the source does not parse.
            InvalidError: no source, or a malformed modules or imports field.
        """
        _compile(entry)
        before = self._entries.get(entry.id)
        self._entries[entry.id] = entry
        if before is None or before.data != entry.data:
            self._changed.add(entry.id)
            self._forget(entry.id)

    def remove_entry(self, entry: Entry) -> None:
        """Forget a Lua entry, unless another version has taken its place; running actors keep their code."""
        if self._entries.get(entry.id) is entry:
            del self._entries[entry.id]
            self._changed.add(entry.id)
            self._forget(entry.id)

    def _forget(self, id: EntryId) -> None:
        """Drop the unit of an entry and of all that import it: their next use compiles the new version."""
        unit = self._units.pop(id, None)
        if unit is not None:
            for shard in self._shards:
                shard.forget(unit)
        for other, unit in list(self._units.items()):
            if any(imported.entry == id for imported in unit.imports.values()):
                self._forget(other)

    def announce_changes(self) -> None:
        """A change of the registry is complete: tell processes that asked to know that their code is outdated."""
        changed, self._changed = self._changed, set()
        if changed:
            for shard in self._shards:
                tell(shard, changed, self._units)

    def forget_changes(self) -> None:
        """A change of the registry was undone."""
        self._changed.clear()

    def is_outdated(self, actor: LuaActor) -> tuple[str, ...]:
        """What of a process's code is no longer current, as entry ids in order; empty when all is."""
        return outdated(actor.unit, self._units) if actor.unit is not None else ()

    def entry(self, id: EntryId) -> Entry | None:
        """The Lua entry of that id."""
        return self._entries.get(id)

    def unit(self, id: EntryId, _path: tuple[EntryId, ...] = ()) -> Unit:
        """The compiled unit of an entry and, within it, of what it imports.

        Raises:
            NotFoundError: no such Lua entry.
            InvalidError: an import cycle, or an unknown module.
        """
        unit = self._units.get(id)
        if unit is not None:
            return unit
        entry = self._entries.get(id)
        if entry is None:
            message = f"Lua entry not found: {id}"
            raise NotFoundError(message)
        if id in _path:
            message = "import cycle: " + " -> ".join(str(item) for item in (*_path, id))
            raise InvalidError(message)
        modules: dict[str, str] = {}
        for name in _names(entry, "modules"):
            if self.module(name) is None:
                if name in BUILT_IN:
                    continue
                message = f"{entry.id}: unknown module '{name}' (field modules)"
                raise InvalidError(message)
            modules[name] = name
        imports: dict[str, Unit] = {}
        for alias, target in _imports(entry).items():
            if target.startswith(":"):
                if target[1:] not in BUILT_IN:
                    modules[alias] = target[1:]
                continue
            imports[alias] = self.unit(EntryId.parse(target, entry.id.namespace), (*_path, id))
        self._next_unit += 1
        unit = Unit(self._next_unit, id, _compile(entry), modules, imports)
        self._units[id] = unit
        return unit

    # shards ----------------------------------------------------------------------------------------------------
    def start_soon(self, function: Callable[[], Awaitable[None]]) -> None:
        """Run what outlives the actor that asks for it, in the node's nursery. It must not raise."""
        assert self._nursery is not None
        self._nursery.start_soon(function)

    async def open_shard(
        self, name: str, memory_bytes: int | None = None, record: RecordOptions | None = None
    ) -> Shard:
        """A new VM and the task that runs it, in the node's nursery. A simulated world records by itself."""
        assert self._nursery is not None
        limit_bytes = memory_bytes or self.limits.memory_bytes
        shard: Shard
        if self.environment.world is not None:
            shard = SimulatedShard(self, name, limit_bytes)
        elif record is not None:
            shard = RecordingShard(self, name, limit_bytes, record)
        else:
            shard = Shard(self, name, limit_bytes)
        await self._nursery.start(shard.run)
        self._shards.append(shard)
        return shard

    def adopt_shard(self, shard: Shard) -> None:
        """Let a shard that somebody else runs hear of code that is no longer current."""
        self._shards.append(shard)

    def close_shard(self, shard: Shard) -> None:
        """End a VM whose actors have ended."""
        self._shards.remove(shard)
        shard.close()


_UNBUILT = """
local sys = ...
return setmetatable({}, { __index = function(_, key)
  error(sys.error("Unavailable", "module 'MODULE' is not built in this runtime yet (MODULE." .. tostring(key)
    .. "); see docs/reference/status.md", false), 2)
end })
"""

_compiled: dict[tuple[str, str], bytes] = {}
_COMPILED_COUNT = 4096


def _compile(entry: Entry) -> bytes:
    source = entry.data.get("source")
    if not isinstance(source, str):
        message = f"{entry.kind} {entry.id}: source is required"
        raise InvalidError(message)
    key = (str(entry.id), source)
    cached = _compiled.get(key)
    if cached is None:
        try:
            cached = compile_source(source, str(entry.id)).lua.encode("utf-8", "surrogateescape")
        except SourceError as problem:
            position = SourcePosition(problem.chunk, problem.line, problem.column, problem.line_text)
            raise ConfigError(problem.message, position, "correct the Lua source") from problem
        if len(_compiled) >= _COMPILED_COUNT:
            _compiled.clear()
        _compiled[key] = cached
    return cached


def _names(entry: Entry, field: str) -> list[str]:
    value: Any = entry.data.get(field) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{entry.id}: {field} must be a list of names"
        raise InvalidError(message)
    return value


def _imports(entry: Entry) -> dict[str, str]:
    value: Any = entry.data.get("imports") or {}
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        message = f"{entry.id}: imports must be a map of alias to entry id"
        raise InvalidError(message)
    return dict(value)
