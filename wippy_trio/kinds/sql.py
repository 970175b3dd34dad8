"""Kinds db.sql.sqlite and db.sql.postgres. Source: docs system/database."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.units import duration_s
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings
from wippy_trio.storage.sql_postgres import PostgresDatabase
from wippy_trio.storage.sql_sqlite import SqliteDatabase, SqliteLimits

__all__ = ["KINDS"]

_LIFETIME_S = 3600.0
_OPEN_MAX_COUNT = 100  # "unlimited" ends where a server's own default does


def _pool(entry: Entry) -> Mapping[str, object]:
    pool = entry.data.get("pool") or {}
    if not isinstance(pool, Mapping):
        raise InvalidError("pool must be a map")
    return pool


def _lifetime_s(entry: Entry) -> float:
    given = _pool(entry).get("max_lifetime")
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


def _count(entry: Entry, field: str) -> int:
    """A number of connections; what is below zero counts as zero, as in the reference."""
    given = _pool(entry).get(field, 0)
    text = str(given).strip() or "0"
    if isinstance(given, bool) or not text.lstrip("-").isdecimal():
        raise InvalidError(f"pool.{field} must be a whole number")
    return max(0, int(text))


def _text(entry: Entry, field: str, what: str) -> str:
    value = entry.data.get(field)
    if value in {None, ""} or isinstance(value, Mapping | list):
        raise InvalidError(f"{what} is required")
    return str(value)


def _settings(entry: Entry) -> PostgresSettings:
    host = _text(entry, "host", "host")
    given = entry.data.get("port")
    port = int(str(given)) if str(given).isdecimal() and not isinstance(given, bool) else 0
    if not port and isinstance(given, str) and given:
        raise InvalidError("invalid port value from env")
    if not 0 < port < 65536:
        raise InvalidError("port must be greater than 0")
    options = entry.data.get("options") or {}
    if not isinstance(options, Mapping):
        raise InvalidError("options must be a map")
    return PostgresSettings(
        host,
        port,
        _text(entry, "database", "database"),
        _text(entry, "username", "username"),
        _text(entry, "password", "password"),
        {
            str(name): str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in sorted(options.items())
        },
    )


def check_postgres(entry: Entry) -> None:
    """Refuse an entry that lacks a field, or has a bad one."""
    _settings(entry)
    _lifetime_s(entry)
    _count(entry, "max_open")
    _count(entry, "max_idle")


@asynccontextmanager
async def open_postgres(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A PostgreSQL database with a pool of connections, opened as they are needed.

    A server that cannot be reached is reported and does not keep the app from starting: it may come up later, and until
    then whoever uses the database gets an error worth a retry.
    """
    open_max_count = _count(entry, "max_open") or _OPEN_MAX_COUNT
    database = PostgresDatabase(
        _settings(entry),
        runtime.environment,
        name=str(entry.id),
        limits=PostgresLimits(
            open_max_count=open_max_count,
            idle_max_count=min(_count(entry, "max_idle"), open_max_count),
            lifetime_s=_lifetime_s(entry),
        ),
    )

    async def ping() -> None:
        try:
            await database.ping()
        except LuaError as error:
            runtime.log.error("failed to ping database", database=str(entry.id), error=str(error))

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            with runtime.resources.offer(entry.id, database):
                yield
            nursery.cancel_scope.cancel()
    finally:
        await database.aclose()


KINDS = (
    Kind("db.sql.sqlite", open_sqlite, check=check_sqlite),
    Kind("db.sql.postgres", open_postgres, check=check_postgres, swap=True),
)
