"""The `ctx` module: the context values of the running call. Source: docs lua/core/context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.values import Boxed, Multi, as_text
from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("ctx", classes={ModuleClass.NONDETERMINISTIC, ModuleClass.WORKFLOW}, prelude="ctx.lua")


@MODULE.immediate("ctx.get")
def get(call: Call, key: object) -> Multi:
    """One value; what Lua has no plain form for reads as nil."""
    name = as_text(key)
    if not name:
        raise InvalidError("empty key")
    values = call.frame.values
    if name not in values:
        raise NotFoundError(f"key not found: {name}")
    return Multi(_plain(values[name]))


@MODULE.immediate("ctx.all")
def all_values(call: Call) -> dict[str, object]:
    """All values."""
    return {key: _plain(value) for key, value in call.frame.values.items()}


def _plain(value: Any) -> object:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Boxed):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return None
