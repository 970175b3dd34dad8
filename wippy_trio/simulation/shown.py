"""Data of traced events as text: what Lua would write, shortened. Source: ours (docs/guides/simulation.md)."""

from __future__ import annotations

from typing import Any

import ormsgpack

from sandbox.errors import LuaError
from sandbox.values import Boxed, Handle, Payload, unpack

__all__ = ["decoded", "shown", "shown_data"]

_MOST_CHARS = 600
_MOST_ITEMS = 24
_MOST_DEPTH = 5


def decoded(data: bytes) -> Any:
    """The first value that an event's data encodes; None where it was cut off or is no encoded value."""
    values = _values(data)
    return values[0] if values else None


def _values(data: bytes) -> list[Any] | None:
    """One value after the other: the data of a call are its arguments and what came back. None where it is none."""
    values, at = [], 0
    try:
        while at < len(data):
            size = _size(data, at)
            values.append(unpack(data[at : at + size]))
            at += size
    except (ormsgpack.MsgpackDecodeError, ValueError, TypeError, KeyError, IndexError):
        return None
    return values


#: First byte -> (bytes of its length field, bytes besides it, values that follow for each counted).
_SIZED = {
    **{0xC4 + i: (1 << i, 0, 0) for i in range(3)},
    **{0xC7 + i: (1 << i, 1, 0) for i in range(3)},
    **{0xD9 + i: (1 << i, 0, 0) for i in range(3)},
    **{0xDC + i: (2 << i, 0, 1) for i in range(2)},
    **{0xDE + i: (2 << i, 0, 2) for i in range(2)},
}
_FIXED = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}
_FIXED |= {0xD4 + i: 2 + (1 << i) for i in range(5)}


def _size(data: bytes, at: int) -> int:
    """Bytes of the MessagePack value that begins at `at`."""
    first = data[at]
    if first <= 0x7F or first >= 0xE0 or 0xC0 <= first <= 0xC3:
        return 1
    if first in _FIXED:
        return _FIXED[first]
    if 0xA0 <= first <= 0xBF:
        return 1 + (first & 31)
    end, follow = at + 1, (first & 15) * (2 if first < 0x90 else 1)
    if first >= 0xC0:
        field, more, each = _SIZED[first]
        count = int.from_bytes(data[at + 1 : at + 1 + field], "big")
        end, follow = at + 1 + field + more + (0 if each else count), each * count
    for _ in range(follow):
        end += _size(data, end)
    return end - at


def shown_data(data: bytes) -> str:
    """Data for people: arguments or results between commas; what cannot be decoded as its readable letters."""
    if not data:
        return ""
    values = _values(data)
    if values is None:
        text = "".join(letter if letter.isprintable() else "·" for letter in data.decode("utf-8", "replace"))
        return _short(text + " (cut off)")
    return _short(" -> ".join(_listed(value) for value in values))


def _listed(value: Any) -> str:
    if not isinstance(value, list):
        return shown(value)
    return ", ".join(shown(item) for item in value[:_MOST_ITEMS]) + (", ..." * (len(value) > _MOST_ITEMS))


def shown(value: Any, depth: int = 0) -> str:
    """A value as Lua would write it."""
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, bytes):
        return _shown_bytes(value, depth)
    if depth >= _MOST_DEPTH:
        return "{...}"
    if isinstance(value, (list, tuple)):
        items = [shown(item, depth + 1) for item in value[:_MOST_ITEMS]]
    elif isinstance(value, dict):
        pairs = list(value.items())[:_MOST_ITEMS]
        items = [f"{_key(key, depth)} = {shown(item, depth + 1)}" for key, item in pairs]
    else:
        return _shown_object(value, depth)
    return "{" + ", ".join([*items, *["..."] * (len(value) > _MOST_ITEMS)]) + "}"


def _shown_bytes(value: bytes, depth: int) -> str:
    nested = decoded(value) if depth < _MOST_DEPTH else None
    if isinstance(nested, list):  # packed arguments, passed on unread
        return "(" + ", ".join(shown(item, depth + 1) for item in nested[:_MOST_ITEMS]) + ")"
    text = value.decode("utf-8", "replace")
    return shown("".join(letter if letter.isprintable() or letter in "\n\t" else "·" for letter in text))


def _shown_object(value: Any, depth: int) -> str:
    if isinstance(value, LuaError):
        return f"error({shown(str(value))})"
    if isinstance(value, Payload):
        return shown(value.value if value.raw is None else value.raw, depth)
    if isinstance(value, Handle):
        return f"<{value.class_name} {value.id}>"
    if isinstance(value, Boxed):
        return f"<{value.class_name} {shown(value.value, depth + 1)}>"
    return _short(str(value))


def _key(key: Any, depth: int) -> str:
    return key if isinstance(key, str) and key.isidentifier() else f"[{shown(key, depth + 1)}]"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "..."
