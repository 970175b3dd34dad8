"""The `pg` module: named groups of processes. Source: docs lua/core/pg."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sandbox.values import Handle, Multi, as_text, pack_list
from wippy_trio.actors.groups import GroupScope, Watch
from wippy_trio.core.errors import InternalError, InvalidError, LuaError, PermissionDeniedError
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("pg", classes={ModuleClass.PROCESS, ModuleClass.NONDETERMINISTIC}, prelude="pg.lua")

#: Events that wait for a subscriber whose channel is full; beyond that its subscription ends.
_MAX_WAITING = 65_536


def _allow(call: Call, action: str, resource: str, what: str) -> None:
    if not call.allowed(action, resource):
        raise PermissionDeniedError(f"not allowed to {what}" + (f": {resource}" if resource else ""))


def _wrapped(what: str, error: LuaError) -> LuaError:
    """The error with what was being done in front, as the reference words it."""
    return LuaError(
        error.message, kind=error.kind, retryable=error.retryable, details=error.details, context=(what, *error.context)
    )


class _Instance:
    """One opening of a scope: each is released for itself."""

    __slots__ = ("scope",)

    def __init__(self, scope: GroupScope) -> None:
        self.scope = scope


@MODULE.immediate("pg.open")
def open_scope(call: Call, id: object) -> Handle:
    """A scope, by the id of its entry."""
    name = as_text(id)
    if not name:
        raise InvalidError("resource id is required")
    _allow(call, "pg.open", name, "access pg scope")
    entry = EntryId.parse(name)
    scope = call.runtime.resources.find(entry, GroupScope)
    if scope is not None:
        return call.handle("pg.Scope", _Instance(scope))
    if call.runtime.resources.find(entry, object) is not None:
        raise InvalidError(f"resource is not a pg scope: {name}")
    raise InternalError(f"failed to acquire pg scope: resource not found: {name}", retryable=False)


def _groups(value: object) -> list[str]:
    """Group names of an argument that is a name or a list of them; what is no text in a list is passed over."""
    if isinstance(value, (str, bytes)):
        names = [as_text(value)]
    elif isinstance(value, (list, dict)):
        items = value if isinstance(value, list) else list(value.values())
        names = [as_text(item) for item in items if isinstance(item, (str, bytes))]
        if not names:
            raise InvalidError("groups table must not be empty")
    else:
        raise InvalidError("group name (string) or groups table required")
    if "" in names:
        raise InvalidError("group name is required")
    return names


@MODULE.immediate("pg.join")
def join(call: Call, instance: _Instance, groups: object = None) -> bool:
    """Join one group or several."""
    names = _groups(groups)
    for name in names:
        _allow(call, "pg.join", name, "join group")
    try:
        instance.scope.join(call.pid, names)
    except LuaError as error:
        raise _wrapped("pg join", error) from error
    return True


@MODULE.immediate("pg.leave")
def leave(call: Call, instance: _Instance, groups: object = None) -> bool:
    """Leave one group or several, once each."""
    names = _groups(groups)
    for name in names:
        _allow(call, "pg.leave", name, "leave group")
    try:
        instance.scope.leave(call.pid, names)
    except LuaError as error:
        raise _wrapped("pg leave", error) from error
    return True


@MODULE.immediate("pg.members")
def members(call: Call, instance: _Instance, group: object, local: bool) -> list[str]:
    """Members of a group; all of them are on this node."""
    action = "pg.get_local_members" if local else "pg.get_members"
    _allow(call, action, as_text(group), "get local members of group" if local else "get members of group")
    return instance.scope.members(as_text(group))


@MODULE.immediate("pg.groups")
def groups(call: Call, instance: _Instance, local: bool) -> list[str]:
    """Names of the groups that have members."""
    _allow(call, "pg.which_local_groups" if local else "pg.which_groups", "", f"list {'local ' if local else ''}groups")
    return instance.scope.groups()


@MODULE.waiting("pg.broadcast")
async def broadcast(call: Call, instance: _Instance, local: bool, group: object, topic: object, *values: Any) -> bool:
    """Send to every member."""
    action, what = (
        ("pg.broadcast_local", "broadcast locally to group") if local else ("pg.broadcast", "broadcast to group")
    )
    _allow(call, action, as_text(group), what)
    try:
        await instance.scope.broadcast(as_text(group), as_text(topic), call.pid, pack_list(values))
    except LuaError as error:
        raise _wrapped("pg broadcast_local" if local else "pg broadcast", error) from error
    return True


class _Feeder:
    """Brings events to a subscriber's channel; what does not fit waits, in order."""

    def __init__(self, call: Call, source: int) -> None:
        self._call = call
        self._source = source
        self._waiting: deque[dict[str, Any]] = deque()
        self.end: Callable[[], None] = lambda: None

    def tell(self, kind: str, group: str, pids: list[str]) -> None:
        event = {"system": "pg", "kind": kind, "path": group, "data": {"Group": group, "PIDs": pids}}
        if not self._waiting and self._call.feed_now(self._source, event):
            return
        if len(self._waiting) >= _MAX_WAITING:  # a gap would be worse than an end
            self.close()
            return
        self._waiting.append(event)
        if len(self._waiting) == 1:
            self._call.background(self._drain)

    async def _drain(self) -> None:
        while self._waiting:
            taken = await self._call.feed(self._source, self._waiting[0])
            if not taken:
                self._waiting.clear()
                return
            if self._waiting:
                self._waiting.popleft()

    def close(self) -> None:
        self.end()
        self._waiting.clear()
        self._call.close_feed(self._source)


def _subscribe(call: Call, scope: GroupScope, source: int, group: str) -> Handle:
    feeder = _Feeder(call, source)
    feeder.end = scope.watch(Watch(call.pid, feeder.tell, feeder.close), group)
    return call.handle("pg.Watch", feeder, feeder.end)


@MODULE.immediate("pg.monitor")
def monitor(call: Call, instance: _Instance, source: int, group: object) -> Multi:
    """Be told of changes of a group; its members now."""
    name = as_text(group)
    _allow(call, "pg.monitor", name, "monitor group")
    try:
        handle = _subscribe(call, instance.scope, source, name)
        return Multi(handle, instance.scope.members(name))
    except LuaError as error:
        raise _wrapped("pg monitor", error) from error


@MODULE.immediate("pg.events")
def events(call: Call, instance: _Instance, source: int) -> Multi:
    """Be told of all changes; all groups now."""
    _allow(call, "pg.events", "", "subscribe to pg events")
    try:
        handle = _subscribe(call, instance.scope, source, "")
        return Multi(handle, instance.scope.snapshot())
    except LuaError as error:
        raise _wrapped("pg events", error) from error


@MODULE.immediate("pg.unwatch")
def unwatch(call: Call, feeder: _Feeder) -> bool:
    """End a subscription."""
    feeder.close()
    call.drop(feeder)
    return True


@MODULE.immediate("pg.release")
def release(call: Call, instance: _Instance) -> bool:
    """Give an instance back; memberships and subscriptions stay."""
    call.drop(instance)
    return True
