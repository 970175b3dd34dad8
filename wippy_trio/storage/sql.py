"""What a SQL database is to the rest of the runtime: three Protocols and the frozen values they give.

A driver (`sql_sqlite`, `sql_postgres`, ...) implements `SqlDatabase`. Statement text goes to the database as written;
only the number of arguments is checked here. Source: docs lua/storage/sql, system/database.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

import attrs

from wippy_trio.core.errors import InvalidError

__all__ = [
    "Dialect",
    "ExecuteResult",
    "Isolation",
    "PoolStats",
    "QueryResult",
    "SqlDatabase",
    "SqlRunner",
    "SqlStatement",
    "SqlTransaction",
    "SqlValue",
    "check_savepoint_name",
]

#: What can be bound and what a row holds. A `datetime` always carries UTC; `bytes` is a blob.
SqlValue: TypeAlias = bool | int | float | str | bytes | datetime | None


class Dialect(StrEnum):
    """Engine names as `sql.type` gives them to Lua."""

    POSTGRES = "postgres"
    MYSQL = "mysql"
    SQLITE = "sqlite"
    UNKNOWN = "unknown"


class Isolation(StrEnum):
    """Isolation levels as `sql.isolation` gives them to Lua."""

    DEFAULT = "default"
    READ_UNCOMMITTED = "read_uncommitted"
    READ_COMMITTED = "read_committed"
    WRITE_COMMITTED = "write_committed"
    REPEATABLE_READ = "repeatable_read"
    SERIALIZABLE = "serializable"

    @classmethod
    def parse(cls, text: str) -> Isolation:
        """The level called `text`.

        Raises:
            InvalidError: no such level.
        """
        try:
            return cls(text)
        except ValueError:
            raise InvalidError(f"invalid isolation level: {text}") from None


@attrs.frozen(slots=True)
class QueryResult:
    """Column names and rows, each row as long as `columns`.

    `columns` may be empty where a statement gave no row.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[SqlValue, ...], ...] = ()

    def records(self) -> list[dict[str, SqlValue]]:
        """The rows as dictionaries; of columns with one name the last wins."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@attrs.frozen(slots=True)
class ExecuteResult:
    """What a statement did: id of the last inserted row (0 where unknown) and the number of rows changed."""

    last_insert_id: int = 0
    rows_affected: int = 0


@attrs.frozen(slots=True)
class PoolStats:
    """Numbers of a connection pool; the names are those of the reference's `db:stats()`.

    `wait_ns` is the total time callers waited for a connection, in nanoseconds.
    """

    max_open_connections: int = 0
    open_connections: int = 0
    in_use: int = 0
    idle: int = 0
    wait_count: int = 0
    wait_ns: int = 0
    max_idle_closed: int = 0
    max_idle_time_closed: int = 0
    max_lifetime_closed: int = 0


@runtime_checkable
class SqlStatement(Protocol):
    """A prepared statement. Whoever prepared it closes it."""

    async def query(self, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run it and fetch all rows.

        Raises:
            InvalidError: closed, or the wrong number of `params`.
        """

    async def execute(self, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run it for its effect.

        Raises:
            InvalidError: closed, or the wrong number of `params`.
        """

    async def close(self) -> None:
        """Close it.

        Raises:
            InvalidError: closed already.
        """

    @property
    def closed(self) -> bool: ...


class SqlRunner(Protocol):
    """What a database and a transaction share."""

    @property
    def dialect(self) -> Dialect: ...

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run `text` with positional `params` and fetch all rows.

        A cancelled call interrupts the statement; the connection stays usable.

        Raises:
            InvalidError: bad SQL, too few params, a param that cannot be bound.
            LuaError: other kinds as the database reports them.
        """

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run `text` for its effect. Errors as for `query`."""

    async def prepare(self, text: str) -> SqlStatement:
        """Check `text` and keep it for repeated use. Errors as for `query`."""


@runtime_checkable
class SqlTransaction(SqlRunner, Protocol):
    """An open transaction; it holds a connection until `commit` or `rollback`, and is inactive afterwards."""

    @property
    def active(self) -> bool: ...

    async def commit(self) -> None:
        """Commit. Inactive afterwards even on failure.

        Raises:
            InvalidError: not active.
        """

    async def rollback(self) -> None:
        """Roll back.

        Raises:
            InvalidError: not active.
        """

    async def savepoint(self, name: str) -> None:
        """Create savepoint `name` (letters, digits, underscore).

        Raises:
            InvalidError: not active, or a bad name.
        """

    async def rollback_to(self, name: str) -> None:
        """Undo everything since savepoint `name`, which stays. Errors as for `savepoint`."""

    async def release(self, name: str) -> None:
        """Forget savepoint `name`, keeping its work. Errors as for `savepoint`."""


@runtime_checkable
class SqlDatabase(SqlRunner, Protocol):
    """A database with its connections. The entry kind that opened it closes it."""

    async def begin(self, isolation: Isolation = Isolation.DEFAULT, *, read_only: bool = False) -> SqlTransaction:
        """Start a transaction. It holds a connection: the caller must end it, also when cancelled."""

    def stats_now(self) -> PoolStats:
        """Numbers of the pool at this moment."""

    async def aclose(self) -> None:
        """Refuse new work, wait a bounded time for running work, then close. May be called twice."""


def check_savepoint_name(name: str) -> str:
    """`name`, if it is a savepoint name: one or more ASCII letters, digits and underscores.

    Raises:
        InvalidError: empty, or another character.
    """
    if not name:
        raise InvalidError("savepoint name is required")
    if not (name.isascii() and name.replace("_", "a").isalnum()):
        raise InvalidError("savepoint name can only contain alphanumeric characters and underscores")
    return name
