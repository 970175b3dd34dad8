"""The `registry` module: read, version and change entries. Source: docs lua/core/registry."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import trio

from sandbox.values import Boxed, Handle, Payload, as_text
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import (
    InternalError,
    InvalidError,
    LuaError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
)
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass, Permission
from wippy_trio.registry.changes import Change, Operation
from wippy_trio.registry.history import Version
from wippy_trio.registry.registry import Registry, Snapshot

__all__ = ["MODULE"]

T = TypeVar("T")

MODULE = Module("registry", classes={ModuleClass.NONDETERMINISTIC, ModuleClass.STORAGE}, prelude="registry.lua")

_SNAPSHOT_COUNT: Final = 64
_SNAPSHOTS: Final = "registry.snapshots"


def _registry(call: Call) -> Registry:
    registry: Registry = call.runtime.registry
    return registry


# ------------------------------------------------------------------------------------------------------- entries


def _plain(entry: Entry) -> dict[str, Any]:
    """An entry as Lua sees it."""
    return {"id": str(entry.id), "kind": entry.kind, "meta": entry.meta, "data": entry.data}


def _readable(call: Call, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The entries the caller may read, as Lua sees them."""
    return [_plain(entry) for entry in entries if call.allowed("registry.get", str(entry.id))]


def _id(text: object) -> EntryId:
    """`ns:name`; a text without a colon is a name in no namespace."""
    namespace, colon, name = as_text(text).partition(":")
    return EntryId(namespace, name) if colon else EntryId("", namespace)


def _one(call: Call, snapshot: Snapshot, text: object) -> dict[str, Any]:
    id_ = _id(text)
    if not call.allowed("registry.get", str(id_)):
        raise PermissionDeniedError(f"not allowed to access entry: {id_}")
    try:
        return _plain(snapshot.get(id_))
    except NotFoundError as problem:
        raise NotFoundError(f"entry not found: {id_}") from problem


@MODULE.immediate("registry.get")
def get(call: Call, id: object) -> dict[str, Any]:
    """One entry."""
    return _one(call, _registry(call).snapshot(), id)


@MODULE.immediate("registry.find")
def find(call: Call, criteria: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The readable entries that fit the criteria, by id."""
    return _readable(call, _registry(call).find(criteria))


# ----------------------------------------------------------------------------------------------------- snapshots
# Lua holds the number of a version; what it stands for is kept here, and computed again when it was pushed out.


class _Snapshots:
    """The snapshots used last, by number of their version."""

    def __init__(self) -> None:
        self._held: OrderedDict[int, Snapshot] = OrderedDict()

    def put(self, snapshot: Snapshot) -> int:
        number = snapshot.version.id
        self._held[number] = snapshot
        self._held.move_to_end(number)
        if len(self._held) > _SNAPSHOT_COUNT:
            self._held.popitem(last=False)
        return number

    def find(self, number: int) -> Snapshot | None:
        found = self._held.get(number)
        if found is not None:
            self._held.move_to_end(number)
        return found


def _snapshots(call: Call) -> _Snapshots:
    held = call.runtime.extras.setdefault(_SNAPSHOTS, _Snapshots())
    assert isinstance(held, _Snapshots)
    return held


@MODULE.immediate("registry.snapshot")
def snapshot(call: Call) -> int:
    """The entries as they are now."""
    return _snapshots(call).put(_registry(call).snapshot())


@MODULE.waiting("registry.snapshot.load")
async def snapshot_load(call: Call, number: int) -> int:
    """The entries of a known version."""
    return _snapshots(call).put(await _registry(call).snapshot_at(number))


@MODULE.immediate("registry.snapshot.entries")
def snapshot_entries(call: Call, number: int, nothing: None = None) -> object:
    """All readable entries; False when the snapshot has to be loaded again (so also the next three)."""
    del nothing
    held = _snapshots(call).find(number)
    return held is not None and _readable(call, held.all())


@MODULE.immediate("registry.snapshot.get")
def snapshot_get(call: Call, number: int, id: object) -> object:
    """One entry of a snapshot."""
    held = _snapshots(call).find(number)
    return held is not None and _one(call, held, id)


@MODULE.immediate("registry.snapshot.find")
def snapshot_find(call: Call, number: int, criteria: Mapping[str, Any]) -> object:
    """The readable entries of a snapshot that fit the criteria."""
    held = _snapshots(call).find(number)
    return held is not None and _readable(call, held.find(criteria))


@MODULE.immediate("registry.snapshot.namespace")
def snapshot_namespace(call: Call, number: int, namespace: object) -> object:
    """The readable entries of exactly that namespace."""
    held = _snapshots(call).find(number)
    return held is not None and _readable(call, held.namespace(as_text(namespace)))


# ------------------------------------------------------------------------------------------------------ versions


def _number(version: Version | None) -> int | None:
    return None if version is None else version.id


@MODULE.immediate("registry.version.current")
def version_current(call: Call) -> int:
    """The version in force."""
    return _registry(call).current_version.id


@MODULE.immediate("registry.version.all")
def version_all(call: Call) -> list[int]:
    """Known versions, oldest first."""
    return [version.id for version in _registry(call).versions()]


@MODULE.immediate("registry.version.known")
def version_known(call: Call, number: int) -> bool:
    """Whether the history holds it."""
    try:
        _registry(call).version(number)
    except NotFoundError:
        return False
    return True


@MODULE.immediate("registry.version.previous")
def version_previous(call: Call, number: int) -> int | None:
    """The version it came from."""
    registry = _registry(call)
    return _number(registry.previous_version(registry.version(number)))


@MODULE.immediate("registry.version.next")
def version_next(call: Call, number: int) -> int | None:
    """The newest version that came from it."""
    registry = _registry(call)
    return _number(registry.next_version(registry.version(number)))


# ------------------------------------------------------------------------------------------------------- changes


async def _outliving(call: Call, work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` in the node's nursery and wait for it.

    A change may end the very actor that asks for it, and must then be made all the same: were it the actor's own task,
    the change would wait for the actor's end, and the end undo the change.
    """
    done = trio.Event()
    result: list[T] = []
    failure: list[Exception] = []
    abandoned = False

    async def run() -> None:
        try:
            result.append(await work())
        except Exception as problem:  # noqa: BLE001 - raised below, in the task that asked
            failure.append(problem)
            if abandoned:
                call.runtime.log.warn("registry change failed after its asker had ended", error=str(problem))
        finally:
            done.set()

    call.runtime.engine.start_soon(run)
    try:
        await done.wait()
    finally:
        abandoned = True
    if failure:
        raise failure[0]
    return result[0]


def _wrapped(error: LuaError, context: str) -> LuaError:
    """Failures have the kind Internal and a word on what was tried, as in the reference."""
    if isinstance(error, NotFoundError):  # no such version
        return error
    problem = str(error)
    if isinstance(error, UnsupportedError):  # an ns.dependency, whose module would have to be fetched
        problem = f"dependency resolution failed: {problem}"
    return InternalError(problem, retryable=False, context=(context,), details=error.details)


def _value(value: Any) -> Any:
    """Meta or data from Lua as entries hold it: JSON-like, with text keys."""
    if isinstance(value, Mapping):
        return {as_text(key): _value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item) for item in value]
    if isinstance(value, Payload):
        return _value(value.value)
    if isinstance(value, Boxed | Handle):
        raise InvalidError(f"an entry cannot hold an object ({value.class_name})")
    if isinstance(value, LuaError):
        raise InvalidError("an entry cannot hold an error object")
    return value


def _entry(plain: Mapping[str, Any]) -> Entry:
    """An entry as Lua gave it (the Lua half has seen to id and kind)."""
    data = plain.get("data")
    return Entry(
        EntryId.parse(as_text(plain["id"])),
        as_text(plain.get("kind") or ""),
        _value(plain.get("meta") or {}),
        {} if data is None else _value(data),
    )


def _change(plain: Mapping[str, Any]) -> Change:
    entry = _entry(plain["entry"])
    operation = Operation(as_text(plain["kind"]))
    return Change.delete(entry.id) if operation is Operation.DELETE else Change(operation, entry)


@MODULE.waiting(
    "registry.apply",
    permission=Permission("registry.apply", resource="", message="not allowed to apply registry changes"),
)
async def apply(call: Call, operations: list[Mapping[str, Any]]) -> int:
    """Make changes real, all or none; the number of the new version."""
    changes = [_change(operation) for operation in operations]
    registry = _registry(call)
    try:
        return (await _outliving(call, lambda: registry.apply(changes))).id
    except LuaError as error:
        raise _wrapped(error, "apply changes") from error


@MODULE.waiting(
    "registry.apply_version",
    permission=Permission("registry.apply_version", resource="", message="registry version change is not allowed"),
)
async def apply_version(call: Call, number: int) -> bool:
    """Go to a known version, back or ahead."""
    registry = _registry(call)
    try:
        await _outliving(call, lambda: registry.apply_version(number))
    except LuaError as error:
        raise _wrapped(error, "apply version") from error
    return True


@MODULE.immediate("registry.build_delta")
def build_delta(call: Call, before: object, after: object) -> list[dict[str, Any]]:
    """The operations that lead from one list of entries to another, in an order in which they can be made."""
    changes = _registry(call).delta(_entries(before), _entries(after))
    return [{"kind": change.operation.value, "entry": _plain(change.entry)} for change in changes]


def _entries(plain: object) -> list[Entry]:
    """What is no entry is left out, as in the reference."""
    found: list[Entry] = []
    for item in plain if isinstance(plain, list) else ():
        try:
            found.append(_entry(item))
        except LuaError:
            continue
    return found
