"""The `registry` module: read, version and change entries. Source: docs lua/core/registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import NotFoundError, PermissionDeniedError
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("registry", classes={ModuleClass.NONDETERMINISTIC, ModuleClass.STORAGE}, prelude="registry.lua")


def _plain(entry: Entry) -> dict[str, Any]:
    """An entry as Lua sees it."""
    return {"id": str(entry.id), "kind": entry.kind, "meta": entry.meta, "data": entry.data}


def _readable(call: Call, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The entries the caller may read, as Lua sees them."""
    return [_plain(entry) for entry in entries if call.allowed("registry.get", str(entry.id))]


def _id(text: str) -> EntryId:
    """`ns:name`; a text without a colon is a name in no namespace."""
    namespace, colon, name = text.partition(":")
    return EntryId(namespace, name) if colon else EntryId("", text)


@MODULE.immediate("registry.get")
def get(call: Call, id: str) -> dict[str, Any]:
    """One entry."""
    wanted = _id(id)
    if not call.allowed("registry.get", str(wanted)):
        raise PermissionDeniedError(f"not allowed to access entry: {wanted}")
    try:
        return _plain(call.runtime.registry.get(wanted))
    except NotFoundError as problem:
        raise NotFoundError(f"entry not found: {wanted}") from problem


@MODULE.immediate("registry.find")
def find(call: Call, criteria: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The readable entries that fit the criteria, by id."""
    return _readable(call, call.runtime.registry.find(criteria))
