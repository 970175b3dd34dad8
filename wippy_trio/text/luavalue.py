"""Lua values as other languages see them: what a table is once it leaves Lua.

Source: the reference converts so wherever a Lua value becomes a host value (expressions, YAML, JWT claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wippy_trio.text.gonumbers import decimal_text

__all__ = ["go_value"]

Value = Any


def go_value(value: Value) -> Value:
    """The value with tables as lists or dicts with str keys, strings as str.

    A table with items at 1, 2, ... is a list of these, and its other keys are left out; any other, the empty one too,
    is a dict whose keys are the texts of its keys. Bytes that are not UTF-8 are kept as surrogate escapes. Anything
    without a plain form (an error, an object) is its text.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, (list, tuple)):
        return [go_value(item) for item in value]
    if isinstance(value, Mapping):
        numbered = {key: item for key, item in value.items() if type(key) is int}  # a boolean is no number
        items: list[Value] = []
        while len(items) + 1 in numbered:
            items.append(go_value(numbered[len(items) + 1]))
        if items:
            return items
        return {_key(key): go_value(item) for key, item in value.items()}
    return str(value)


def _key(key: Value) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        return key.decode("utf-8", "surrogateescape")
    if isinstance(key, bool):
        return "true" if key else "false"
    return decimal_text(key) if isinstance(key, float) else str(key)
