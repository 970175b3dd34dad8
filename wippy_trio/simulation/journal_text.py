"""Events of journals in words. Source: ours (docs/guides/simulation.md, "Record in production")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.errors import LuaError
from sandbox.values import Boxed, Handle, Payload, as_text, unpack

__all__ = ["STATES", "event_line", "value_of"]

_SHOWN = 160
#: What became of a message or a value for a channel.
STATES: Mapping[object, str] = {0: "taken", 1: "refused: not there", 2: "refused: full"}


def event_line(event: Sequence[Any]) -> str:
    """An event in a line."""
    kind, *fields = event
    match kind:
        case "step":
            return "step" if len(fields[0]) <= 1 else f"step  {len(fields[0])} looks at the clock"
        case "call":
            args = ", ".join(_shown(item) for item in fields[1])
            answer = "" if len(fields) < 3 else f" -> {_answer_shown(fields[2])}"
            return _cut(f"call  {fields[0]}({args}){answer}")
        case "draw":
            return _cut(f"draw  {', '.join(map(repr, fields[0]))}")
        case "issue":
            return _cut(f"issue  {fields[0]} {fields[1]} {_shown(fields[2])}")
        case "resolve":
            return _cut(f"resolve  {fields[0]} {'' if fields[1] == 0 else 'error '}{_shown(fields[2])}")
        case "end":
            return _cut(f"end  {'ok' if fields[0] else 'failed'} {_shown(fields[1])}")
        case "feed":
            return _cut(f"feed  {fields[0]} {_plain(unpack(fields[1]))}")
        case "message":
            state = "" if len(fields) < 4 or fields[3] == 0 else f" ({STATES.get(fields[3], fields[3])})"
            return _cut(f"message  {as_text(fields[0])} from {as_text(fields[1]) or '-'} {_shown(fields[2])}{state}")
    return _cut("  ".join([str(kind), *map(_shown, fields)]))


def _answer_shown(answer: Sequence[Any]) -> str:
    if answer[0] == 3:
        return "later"
    text = ", ".join(_shown(item) for item in answer[1:])
    return text if answer[0] == 0 else f"error {text}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def value_of(data: object) -> Any:
    """What bytes hold: a text, or else an encoded value (none of several bytes is valid UTF-8)."""
    if type(data) is not bytes:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return unpack(data)
    except Exception:  # noqa: BLE001 - neither
        return data


def _shown(data: object) -> str:
    value = value_of(data)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, LuaError):
        return f"{value.kind}: {value}"
    if isinstance(value, Handle):
        return f"{value.class_name}#{value.id}"
    if isinstance(value, (Boxed, Payload)):
        return _plain(value.value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_plain(key)}: {_plain(item)}" for key, item in value.items()) + "}"
    return repr(value)
