"""What a supervision tree consists of, decoded from an entry or from a Lua table. Source: ours (guides/supervision)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import attrs

from wippy_trio.actors.strategy import Restart, Strategy
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s

__all__ = ["MAX_DEPTH", "PATTERNS", "ChildSpec", "TreeSpec", "parse_child", "parse_tree"]

#: Supervisors inside supervisors of one entry.
MAX_DEPTH = 4
#: Fields of an entry that name other entries (see `registry.references`).
PATTERNS = tuple(
    f"{'children.*.' * depth}{field}" for depth in range(1, MAX_DEPTH + 1) for field in ("process", "host")
)
_MAX_RESTARTS = 3
_WINDOW_S = 5.0
_SHUTDOWN_S = 5.0
_MAX_CHILDREN = 10_000
_TREE_FIELDS = frozenset({"strategy", "max_restarts", "window", "max_children", "children", "host"})
_CHILD_FIELDS = frozenset({"id", "type", "process", "host", "args", "restart", "shutdown", "name"})
_ENTRY_FIELDS = frozenset({"lifecycle", "name", "kind", "meta"})

S = TypeVar("S", bound=StrEnum)


@attrs.frozen(slots=True)
class ChildSpec:
    """A child: a process, or a supervisor of its own.

    Attributes:
        id: its name among its siblings.
        restart: which endings it is started again after.
        shutdown_s: how long it may take to obey a stop; 0 kills it, infinity waits.
        process: entry of a worker, which runs on `host` with `args`; None for a supervisor.
        name: name that each of its processes registers; empty for none.
        tree: what a supervisor consists of; None for a worker.
    """

    id: str
    restart: Restart = Restart.PERMANENT
    shutdown_s: float = _SHUTDOWN_S
    process: EntryId | None = None
    host: EntryId | None = None
    args: tuple[Any, ...] = ()
    name: str = ""
    tree: TreeSpec | None = None


@attrs.frozen(slots=True)
class TreeSpec:
    """A supervisor and its children in the order of their start.

    Attributes:
        strategy: whom the failure of a child concerns.
        max_restarts: restarts within `window_s` that are borne; one more makes the supervisor fail.
        max_children: children it holds at most.
        host: where children run that do not say where.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = _MAX_RESTARTS
    window_s: float = _WINDOW_S
    max_children: int = _MAX_CHILDREN
    host: EntryId | None = None
    children: tuple[ChildSpec, ...] = ()


def parse_tree(
    data: Mapping[str, Any], namespace: str, where: str, *, host: EntryId | None = None, depth: int = 1
) -> TreeSpec:
    """Read the fields of a supervisor.

    Args:
        data: fields of the entry, or of a child of type supervisor.
        namespace: of names without one.
        where: how errors name it.
        host: default host of its children.
        depth: 1 for an entry itself.

    Raises:
        InvalidError: an unknown or malformed field, two children of one id, or too many levels.
    """
    if depth > MAX_DEPTH:
        raise InvalidError(f"{where}: more than {MAX_DEPTH} levels of supervisors in one entry")
    unknown = set(data) - _TREE_FIELDS - (_ENTRY_FIELDS if depth == 1 else _CHILD_FIELDS)
    if unknown:
        raise InvalidError(f"{where}: unknown field {sorted(map(str, unknown))[0]}")
    own_host = _entry(data, "host", namespace, where) or host
    listed = data.get("children") or []
    if not isinstance(listed, list):
        raise InvalidError(f"{where}: children must be a list")
    children = tuple(parse_child(raw, namespace, where, host=own_host, depth=depth) for raw in listed)
    ids = [child.id for child in children]
    twice = next((item for item in ids if ids.count(item) > 1), None)
    if twice is not None:
        raise InvalidError(f"{where}: two children are called {twice}")
    most = _count(data, "max_children", _MAX_CHILDREN, where)
    if len(children) > most:
        raise InvalidError(f"{where}: {len(children)} children, max_children is {most}")
    return TreeSpec(
        _choice(Strategy, data, "strategy", Strategy.ONE_FOR_ONE, where),
        _count(data, "max_restarts", _MAX_RESTARTS, where),
        _window(data, where),
        most,
        own_host,
        children,
    )


def parse_child(raw: object, namespace: str, where: str, *, host: EntryId | None = None, depth: int = 1) -> ChildSpec:
    """Read a child; the arguments are those of `parse_tree`.

    Raises:
        InvalidError: an unknown, missing or malformed field.
    """
    if not isinstance(raw, Mapping):
        raise InvalidError(f"{where}: a child must be a map")
    name = raw.get("id")
    if not isinstance(name, str) or not name or "/" in name or name.startswith("{"):
        raise InvalidError(f"{where}: a child needs an id, a text without '/'")
    here = f"{where}/{name}"
    kind = raw.get("type", "worker")
    if kind not in {"worker", "supervisor"}:
        raise InvalidError(f"{here}: type must be worker or supervisor")
    restart = _choice(Restart, raw, "restart", Restart.PERMANENT, here)
    shutdown_s = _shutdown(raw, math.inf if kind == "supervisor" else _SHUTDOWN_S, here)
    if kind == "supervisor":
        for key in ("process", "args", "name"):
            if raw.get(key):
                raise InvalidError(f"{here}: a supervisor has no {key}")
        tree = parse_tree(raw, namespace, here, host=host, depth=depth + 1)
        return ChildSpec(name, restart, shutdown_s, tree=tree)
    unknown = set(raw) - _CHILD_FIELDS
    if unknown:
        raise InvalidError(f"{here}: unknown field {sorted(map(str, unknown))[0]}")
    process, own_host = _entry(raw, "process", namespace, here), _entry(raw, "host", namespace, here) or host
    if process is None or own_host is None:
        raise InvalidError(f"{here}: {'process' if process is None else 'host'} is required")
    args = raw.get("args")
    values = () if args in (None, {}) else tuple(args) if isinstance(args, list) else (args,)
    registered = raw.get("name") or ""
    if not isinstance(registered, str) or registered.startswith("{"):
        raise InvalidError(f"{here}: name must be a text that does not look like a PID")
    return ChildSpec(name, restart, shutdown_s, process, own_host, values, registered)


# fields --------------------------------------------------------------------------------------------------------------
def _entry(data: Mapping[str, Any], key: str, namespace: str, where: str) -> EntryId | None:
    value = data.get(key)
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise InvalidError(f"{where}: {key} must be the id of an entry")
    return EntryId.parse(value, namespace)


def _choice(kind: type[S], data: Mapping[str, Any], key: str, default: S, where: str) -> S:
    value = data.get(key, default)
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(item.value for item in kind)
        raise InvalidError(f"{where}: {key} must be one of {known}") from None


def _count(data: Mapping[str, Any], key: str, default: int, where: str) -> int:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidError(f"{where}: {key} must be a number from 0 up")
    return value


def _duration(value: object, key: str, where: str) -> float:
    try:
        seconds = duration_s(value)
    except LuaError as problem:
        raise InvalidError(f"{where}: {key}: {problem}") from problem
    if seconds < 0:
        raise InvalidError(f"{where}: {key} must not be negative")
    return seconds


def _window(data: Mapping[str, Any], where: str) -> float:
    value = data.get("window")
    seconds = _WINDOW_S if value is None else _duration(value, "window", where)
    if seconds == 0:
        raise InvalidError(f"{where}: window must be longer than 0")
    return seconds


def _shutdown(data: Mapping[str, Any], default: float, where: str) -> float:
    value = data.get("shutdown")
    if value is None:
        return default
    if value == "brutal_kill":
        return 0.0
    if value == "infinity":
        return math.inf
    return _duration(value, "shutdown", where)
