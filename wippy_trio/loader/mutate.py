"""Changes of one field of an entry, as a new entry. Used by overrides and requirement targets.

A path is `data.<field>`, `meta.<field>` or a bare `<field>` (of data), with an optional leading dot.
Source: docs guides/entry-kinds (Overriding Entries), guides/components (targets).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError

__all__ = ["append_value", "set_value"]


def set_value(entry: Entry, path: str, value: Any) -> Entry:
    """`entry` with `value` at `path`; missing maps are made, and a value in the way of the path is replaced.

    Raises:
        InvalidError: an empty path, or one that names the whole data or meta field.
    """
    target, steps = _parse(path, "replace")
    return _with(entry, target, _set(_part(entry, target), steps, value))


def append_value(entry: Entry, path: str, value: Any) -> Entry:
    """`entry` with `value` added to the list at `path`, unless the list holds it already; a missing list is made.

    Raises:
        InvalidError: an empty path, a whole field, or something at `path` that is no list.
    """
    target, steps = _parse(path, "append to")
    part = _part(entry, target)
    found: Any = part
    for step in steps:
        found = found.get(step) if isinstance(found, Mapping) else None
    if found is None:
        found = []
    if not isinstance(found, list):
        message = f"cannot append to non-array at path: {'.'.join(steps)}"
        raise InvalidError(message)
    # Values are told apart by their text, as the reference does: the text "1" is not added beside the number 1.
    if str(value) in {str(item) for item in found}:
        return entry
    return _with(entry, target, _set(part, steps, [*found, value]))


def _parse(path: str, verb: str) -> tuple[str, list[str]]:
    steps = path.removeprefix(".").split(".")
    if steps == [""]:
        message = "path cannot be empty"
        raise InvalidError(message)
    if steps[0] not in {"data", "meta"}:
        return "data", steps
    if len(steps) == 1:
        message = f"cannot {verb} entire {steps[0]} field"
        raise InvalidError(message)
    return steps[0], steps[1:]


def _part(entry: Entry, target: str) -> Mapping[str, Any]:
    part: Any = entry.meta if target == "meta" else entry.data
    return part if isinstance(part, Mapping) else {}  # a `data:` block may hold a list or a text


def _with(entry: Entry, target: str, part: Mapping[str, Any]) -> Entry:
    return attrs.evolve(entry, meta=part) if target == "meta" else attrs.evolve(entry, data=part)


def _set(part: Mapping[str, Any], steps: list[str], value: Any) -> dict[str, Any]:
    """A copy of `part`, along `steps` only, with `value` at their end."""
    step, *rest = steps
    if not rest:
        return {**part, step: value}
    inner = part.get(step)
    return {**part, step: _set(inner if isinstance(inner, Mapping) else {}, rest, value)}
