"""Values across the Lua border: what a Python half of a module receives and returns, and its encoding.

Lua values arrive as None, bool, int, float, str (valid UTF-8) or bytes, list (keys exactly 1..n), dict (any other
table, the empty one too), `LuaError`, `Payload`, `Boxed` and `Handle`. The same go back. Source: ours
(docs/internals/kernel.md); the other half is sandbox/prelude/codec.lua.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ormsgpack

from sandbox.errors import KINDS, LuaError

__all__ = ["Boxed", "Handle", "Multi", "Packed", "Payload", "as_bytes", "as_text", "pack", "pack_list", "unpack"]

_OPTIONS = ormsgpack.OPT_NON_STR_KEYS
_ERROR, _PAYLOAD, _HANDLE, _BOXED = 1, 2, 3, 4


class Handle:
    """A host resource as Lua holds it: `class_name` picks its methods in Lua, `id` the object in its actor's table."""

    __slots__ = ("class_name", "id")

    def __init__(self, class_name: str, id: int) -> None:
        self.class_name = class_name
        self.id = id


class Boxed:
    """An immutable Lua object that crosses by value, such as a time: its class and its plain value."""

    __slots__ = ("class_name", "value")

    def __init__(self, class_name: str, value: Any) -> None:
        self.class_name = class_name
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxed) and (self.class_name, self.value) == (other.class_name, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Boxed({self.class_name!r}, {self.value!r})"


class Payload:
    """A value with its format (`lua/any`, `json/plain`, ...); `raw` holds the undecoded text of a format."""

    __slots__ = ("format", "raw", "value")

    def __init__(self, value: Any, format: str = "lua/any", raw: Any = None) -> None:
        self.value = value
        self.format = format
        self.raw = raw


class Multi:
    """Several results of an operation: Lua gets them as `return a, b, c`."""

    __slots__ = ("values",)

    def __init__(self, *values: Any) -> None:
        self.values = values


class Packed:
    """An already encoded list of values, passed on without being read."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def error_fields(error: LuaError) -> dict[str, Any]:
    """The error as the Lua side stores it."""
    return {
        "message": error.message,
        "kind": error.kind,
        "retryable": error.retryable,
        "details": dict(error.details) if error.details else None,
        "stack": error.stack or None,
        "context": list(error.context) or None,
    }


def _default(value: object) -> Any:
    if isinstance(value, LuaError):
        return ormsgpack.Ext(_ERROR, pack(error_fields(value)))
    if isinstance(value, Handle):
        return ormsgpack.Ext(_HANDLE, pack([value.class_name, value.id]))
    if isinstance(value, Boxed):
        return ormsgpack.Ext(_BOXED, pack([value.class_name, value.value]))
    if isinstance(value, Payload):
        return ormsgpack.Ext(_PAYLOAD, pack([value.format, value.value, value.raw or False]))
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if hasattr(value, "items"):
        return dict(value.items())
    if isinstance(value, Sequence):
        return list(value)
    return str(value)


def _extension(tag: int, data: bytes) -> object:
    value = unpack(data)
    if tag == _ERROR:
        return LuaError(
            _text(value.get("message")),
            kind=_text(value.get("kind")),
            retryable=value.get("retryable"),
            details=value.get("details"),
            stack=_text(value.get("stack")),
            context=tuple(value.get("context") or ()),
        )
    if tag == _HANDLE:
        return Handle(value[0], value[1])
    if tag == _BOXED:
        return Boxed(value[0], value[1])
    if tag == _PAYLOAD:
        return Payload(value[1], value[0], value[2] or None)
    message = f"unknown extension type {tag}"
    raise ValueError(message)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def pack(value: object) -> bytes:
    """Encode one value.

    Raises:
        LuaError: a value Lua cannot hold, such as an integer beyond 64 bits (kind Invalid).
    """
    try:
        return ormsgpack.packb(value, default=_default, option=_OPTIONS)
    except (ormsgpack.MsgpackEncodeError, TypeError, ValueError) as problem:
        message = f"value cannot be passed to Lua: {problem}"
        raise LuaError(message, kind=KINDS["INVALID"], retryable=False) from problem


def pack_list(values: Sequence[object]) -> bytes:
    """Encode several values as one list."""
    return pack(list(values))


def unpack(data: bytes) -> Any:
    """Decode what `pack` or the Lua side encoded."""
    return ormsgpack.unpackb(data, ext_hook=_extension, option=_OPTIONS)


def as_bytes(value: object) -> bytes:
    """A Lua string as bytes, however it arrived; other values by their text."""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")


def as_text(value: object) -> str:
    """A Lua string as text; bytes that are not UTF-8 become replacement characters."""
    return _text(value)
