"""The one codec of workflow events and commands: canonical bytes for the record, JSON for people and for export.

Equal values have equal bytes. Fields that have their default are left out, so that a later version may add fields and
still read, and write, what an earlier one wrote. Source: ours.
"""

from __future__ import annotations

import base64
import inspect
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from sandbox.values import pack, unpack
from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows import wire_commands, wire_events
from wippy_trio.workflows.options import ActivityOptions, RetryPolicy, WorkflowOptions
from wippy_trio.workflows.wire_commands import Command, ScheduleActivity
from wippy_trio.workflows.wire_events import Context, Event, Failure

__all__ = ["KINDS", "decode", "encode", "from_json", "to_json", "value_to_json"]

Message = Event | Command

#: Every event and command by its kind.
KINDS: Mapping[str, type[Any]] = MappingProxyType(
    {
        found.kind: found
        for module in (wire_events, wire_commands)
        for _, found in inspect.getmembers(module, inspect.isclass)
        if attrs.has(found) and issubclass(found, Event | Command)
    }
)
_NESTED: Mapping[str, type[Any]] = {
    "context": Context,
    "failure": Failure,
    "retry": RetryPolicy,
}
_VALUES = frozenset({Context, Failure, RetryPolicy, ActivityOptions, WorkflowOptions})
_FIELDS: dict[type[Any], tuple[tuple[str, Any], ...]] = {}


def _default(field: Any, owner: type[Any]) -> Any:
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        made = field.default.factory()
        return field.converter(made) if callable(field.converter) else made
    del owner
    return field.default


def _fields(owner: type[Any]) -> tuple[tuple[str, Any], ...]:
    known = _FIELDS.get(owner)
    if known is None:
        known = _FIELDS[owner] = tuple((field.name, _default(field, owner)) for field in attrs.fields(owner))
    return known


def _plain(value: object) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, default in _fields(type(value)):
        item = getattr(value, name)
        if item is default or item == default:
            continue
        if type(item) in _VALUES:
            item = _plain(item)
        fields[name] = item
    return fields


def encode(message: Message) -> bytes:
    """Canonical bytes of an event or command."""
    return pack([message.kind, _plain(message)])


def decode(data: bytes) -> Any:
    """The event or command again.

    Raises:
        InvalidError: no such thing; a newer version of this runtime may know it.
    """
    kind, fields = unpack(data)
    return _build(kind, fields)


def _build(kind: str, fields: Mapping[str, Any]) -> Any:
    owner = KINDS.get(kind)
    if owner is None:
        raise InvalidError(f"unknown workflow record {kind!r}; was it written by a newer version?")
    return _made(owner, fields)


def _made(owner: type[Any], fields: Mapping[str, Any]) -> Any:
    known = {name for name, _ in _fields(owner)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise InvalidError(f"workflow record {getattr(owner, 'kind', owner.__name__)}: unknown field {unknown[0]!r}")
    values = dict(fields)
    for name, value in fields.items():
        if isinstance(value, Mapping):
            nested = _nested(owner, name)
            if nested is not None:
                values[name] = _made(nested, value)
        elif owner in _BYTES and name in _BYTES[owner] and isinstance(value, str):
            values[name] = value.encode()
    return owner(**values)


def _nested(owner: type[Any], name: str) -> type[Any] | None:
    if name == "options":
        return ActivityOptions if owner is ScheduleActivity else WorkflowOptions
    if name == "context" and owner is Failure:
        return None
    return _NESTED.get(name)


_BYTES: Mapping[type[Any], frozenset[str]] = {
    owner: frozenset(field.name for field in attrs.fields(owner) if field.type in {"bytes", bytes})
    for owner in KINDS.values()
}


# JSON --------------------------------------------------------------------------------------------------------------
def to_json(message: Message) -> dict[str, Any]:
    """An event or command as JSON-like data. Lua values are readable where JSON can hold them, else base64."""
    return {"kind": message.kind, **_json_fields(type(message), _plain(message))}


def _json_fields(owner: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        nested = _nested(owner, name) if isinstance(value, Mapping) else None
        if nested is not None:
            found[name] = _json_fields(nested, value)
        elif isinstance(value, bytes):
            found[name] = value.hex() if name == "seed" else value_to_json(value)
        elif isinstance(value, Mapping):
            found[name] = value_to_json(pack(value))
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def value_to_json(data: bytes) -> dict[str, Any]:
    """Encoded Lua values as `{"value": ...}` where JSON keeps them exactly, else `{"msgpack": base64}` and a hint."""
    value = unpack(data)
    if _is_json(value) and pack(value) == data:
        return {"value": value}
    return {"msgpack": base64.b64encode(data).decode(), "text": repr(value)[:500]}


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def from_json(data: Mapping[str, Any]) -> Any:
    """The event or command of `to_json`.

    Raises:
        InvalidError: malformed.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    owner = KINDS.get(str(kind))
    if owner is None:
        raise InvalidError(f"unknown workflow record {kind!r}")
    return _build(str(kind), _from_json_fields(owner, fields))


def _from_json_fields(owner: type[Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        nested = _nested(owner, name) if isinstance(value, Mapping) else None
        if nested is not None:
            found[name] = _from_json_fields(nested, value)
        elif name == "seed":
            found[name] = bytes.fromhex(value)
        elif isinstance(value, Mapping):
            encoded = _value_from_json(value)
            found[name] = encoded if name in _BYTES.get(owner, ()) else unpack(encoded)
        else:
            found[name] = value
    return found


def _value_from_json(data: Mapping[str, Any]) -> bytes:
    if "msgpack" in data:
        return base64.b64decode(data["msgpack"])
    if "value" not in data:
        raise InvalidError("a Lua value needs a field value or msgpack")
    return pack(data["value"])
