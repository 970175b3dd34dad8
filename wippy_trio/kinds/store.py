"""Kinds store.memory and store.sql. Source: docs system/store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime
from wippy_trio.storage.kv import MemoryStore
from wippy_trio.storage.kv_sql import SqlStore, SqlStoreTable
from wippy_trio.storage.sql import SqlDatabase
from wippy_trio.storage.unbuilt import UnbuiltDatabase

__all__ = ["KINDS"]

_MAX_SIZE_COUNT = 10_000
_MEMORY_CLEANUP_S = 300.0


def _cleanup_s(entry: Entry) -> float:
    given = entry.data.get("cleanup_interval")
    interval_s = 0.0 if given in (None, "") else duration_s(given)
    if interval_s < 0:
        raise InvalidError("cleanup interval must be non-negative")
    return interval_s


def _max_size_count(entry: Entry) -> int:
    given = entry.data.get("max_size") or 0
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InvalidError("max size must be non-negative")
    return given or _MAX_SIZE_COUNT


def check_memory(entry: Entry) -> None:
    """Refuse negative numbers."""
    _max_size_count(entry)
    _cleanup_s(entry)


@asynccontextmanager
async def open_memory(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A store in memory; 0 means the default for both of its settings."""
    store = MemoryStore(runtime.environment.clock, _max_size_count(entry))
    interval_s = _cleanup_s(entry) or _MEMORY_CLEANUP_S
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.expire_every, interval_s)
            with runtime.resources.offer(entry.id, store):
                yield
            nursery.cancel_scope.cancel()
    finally:
        store.close_now()


def _table(entry: Entry) -> SqlStoreTable:
    data = entry.data
    if not data.get("database"):
        raise InvalidError("database ID is required")
    names = (data.get("table_name"), data.get("id_column_name"), data.get("payload_column_name"))
    table, key, value = (str(name or "") for name in names)
    return SqlStoreTable(table, key or "key", value or "value", str(data.get("expire_column_name") or "expires_at"))


def check_sql(entry: Entry) -> None:
    """Refuse names that are no identifiers: they go into SQL text."""
    _table(entry)
    _cleanup_s(entry)


def _database(id_: EntryId, runtime: Runtime) -> SqlDatabase:
    found = runtime.resources.find(id_, object)
    if isinstance(found, SqlDatabase):
        return found
    known = runtime.registry.pending.get(id_)
    if known is not None and known.kind.startswith("db.sql."):
        return UnbuiltDatabase(str(id_), known.kind)
    raise NotFoundError(f"database not found: {id_}")


@asynccontextmanager
async def open_sql(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A store over a table of a database entry."""
    table, interval_s = _table(entry), _cleanup_s(entry)
    database = _database(relative(entry, entry.data["database"]), runtime)
    store = SqlStore(database, table, runtime.environment.clock)

    def failed(error: LuaError) -> None:
        runtime.log.error("store cleanup failed", store=str(entry.id), error=str(error))

    try:
        async with trio.open_nursery() as nursery:
            if interval_s:
                nursery.start_soon(store.expire_every, interval_s, failed)
            with runtime.resources.offer(entry.id, store):
                yield
            nursery.cancel_scope.cancel()
    finally:
        store.close_now()


KINDS = (
    Kind("store.memory", open_memory, check=check_memory),
    Kind("store.sql", open_sql, references=("database",), check=check_sql),
)
