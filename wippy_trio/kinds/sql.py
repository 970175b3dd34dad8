"""Kind db.sql.sqlite. Source: docs system/database."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.units import duration_s
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime
from wippy_trio.storage.sql_sqlite import SqliteDatabase, SqliteLimits

__all__ = ["KINDS"]

_LIFETIME_S = 3600.0


def _lifetime_s(entry: Entry) -> float:
    pool = entry.data.get("pool") or {}
    if not isinstance(pool, Mapping):
        raise InvalidError("pool must be a map")
    given = pool.get("max_lifetime")
    lifetime_s = _LIFETIME_S if given in (None, "") else duration_s(given)
    if lifetime_s <= 0:
        raise InvalidError("max lifetime must be greater than 0")
    return lifetime_s


def _path(entry: Entry, project_dir: str) -> str:
    """The database's file; a relative one belongs to the project's directory."""
    path = entry.data.get("file")
    if not isinstance(path, str) or not path:
        raise InvalidError("file path is required")
    if path == ":memory:" or path.startswith("file:"):
        return path
    return posixpath.join(project_dir, path)


def check_sqlite(entry: Entry) -> None:
    """Refuse an entry without a file, or with a bad lifetime."""
    _path(entry, "")
    _lifetime_s(entry)


@asynccontextmanager
async def open_sqlite(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A SQLite database with one connection; `max_open`, `max_idle` and `options` have no effect, as documented."""
    database = await SqliteDatabase.open(
        _path(entry, runtime.config.project_dir),
        runtime.environment,
        name=str(entry.id),
        limits=SqliteLimits(lifetime_s=_lifetime_s(entry)),
    )
    try:
        with runtime.resources.offer(entry.id, database):
            yield
    finally:
        await database.aclose()


KINDS = (Kind("db.sql.sqlite", open_sqlite, check=check_sqlite),)
