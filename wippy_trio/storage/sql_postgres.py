"""PostgreSQL as `SqlDatabase`: a pool of connections on trio. Source: docs system/database, lua/storage/sql."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from determinism.seams import Clock, Environment
from wippy_trio.core.errors import InvalidError, TimeoutExpiredError
from wippy_trio.storage.postgres import PostgresConnection, PostgresReply
from wippy_trio.storage.postgres_pool import PostgresPool
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings, check_real
from wippy_trio.storage.sql import (
    Dialect,
    ExecuteResult,
    Isolation,
    PoolStats,
    QueryResult,
    SqlValue,
    check_savepoint_name,
)
from wippy_trio.storage.turns import Turn

__all__ = ["PostgresDatabase", "PostgresStatement", "PostgresTransaction"]

_LEVELS = {
    Isolation.READ_UNCOMMITTED: "READ UNCOMMITTED",
    Isolation.READ_COMMITTED: "READ COMMITTED",
    Isolation.REPEATABLE_READ: "REPEATABLE READ",
    Isolation.SERIALIZABLE: "SERIALIZABLE",
}


class PostgresDatabase:
    """A PostgreSQL database. Nothing is connected until it is used.

    Args:
        settings: where it is.
        environment: the seams.
        name: for error texts.
        limits: see `PostgresLimits`.

    Raises:
        UnsupportedError: in a simulation, or without psycopg.
    """

    dialect = Dialect.POSTGRES

    def __init__(
        self,
        settings: PostgresSettings,
        environment: Environment,
        *,
        name: str = "postgres",
        limits: PostgresLimits | None = None,
    ) -> None:
        check_real(environment, f"database {name}")
        self._clock = environment.clock
        self._limits = limits or PostgresLimits()
        self.pool = PostgresPool(settings, environment, name, self._limits)

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run and fetch. See `SqlRunner.query`."""
        return _rows(await self.run(text, params))

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect. See `SqlRunner.execute`."""
        return _effect(await self.run(text, params))

    async def prepare(self, text: str) -> PostgresStatement:
        """Have the server check `text`. See `SqlRunner.prepare`."""
        connection = await self.pool.take()
        try:
            types = await connection.describe(text)
        finally:
            self.pool.give_now(connection)
        return PostgresStatement(self, text, len(types))

    async def begin(self, isolation: Isolation = Isolation.DEFAULT, *, read_only: bool = False) -> PostgresTransaction:
        """Start a transaction. See `SqlDatabase.begin`.

        Raises:
            InvalidError: PostgreSQL has no such isolation level.
        """
        words = ["BEGIN"]
        if isolation is not Isolation.DEFAULT:
            if isolation not in _LEVELS:
                raise InvalidError(f"isolation level not supported: {isolation}")
            words.append(f"ISOLATION LEVEL {_LEVELS[isolation]}")
        if read_only:
            words.append("READ ONLY")
        connection = await self.pool.take()
        try:
            await connection.run(" ".join(words))
        except BaseException:
            self.pool.give_now(connection)
            raise
        return PostgresTransaction(self.pool, connection, self._clock, self._limits.wait_s)

    async def run(self, text: str, params: Sequence[SqlValue] = (), *, keep: bool = False) -> tuple[PostgresReply, ...]:
        """Run `text` on some connection. See `PostgresConnection.run`."""
        connection = await self.pool.take()
        try:
            return await connection.run(text, params, keep=keep)
        finally:
            self.pool.give_now(connection)

    async def ping(self) -> None:
        """Ask the server for a sign of life. Raises as `PostgresPool.take`."""
        await self.run("SELECT 1")

    def stats_now(self) -> PoolStats:
        """Numbers of the pool."""
        return self.pool.stats_now()

    async def aclose(self) -> None:
        """Close every connection. See `SqlDatabase.aclose`."""
        await self.pool.aclose()


class PostgresTransaction:
    """An open transaction as `SqlTransaction`; it holds a connection of the pool."""

    dialect = Dialect.POSTGRES

    def __init__(self, pool: PostgresPool, connection: PostgresConnection, clock: Clock, wait_s: float) -> None:
        self._pool = pool
        self._connection = connection
        # Coroutines of one actor may use the transaction side by side; the connection takes one call at a time.
        self._turn = Turn("transaction", clock, wait_s=wait_s)
        self._wait_s = wait_s
        self._active = True

    @property
    def active(self) -> bool:
        """Whether it can still be used."""
        return self._active

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run and fetch inside. See `SqlRunner.query`."""
        return _rows(await self.run(text, params))

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect inside. See `SqlRunner.execute`."""
        return _effect(await self.run(text, params))

    async def prepare(self, text: str) -> PostgresStatement:
        """Have the server check `text`; usable while the transaction is active."""
        async with self._turn.held():
            self._check_active()
            types = await self._connection.describe(text)
        return PostgresStatement(self, text, len(types))

    async def run(self, text: str, params: Sequence[SqlValue] = (), *, keep: bool = False) -> tuple[PostgresReply, ...]:
        """Run `text` inside. See `PostgresConnection.run`."""
        self._check_active()
        async with self._turn.held():
            self._check_active()
            return await self._connection.run(text, params, keep=keep)

    async def commit(self) -> None:
        """Commit and give the connection back. See `SqlTransaction.commit`.

        Raises:
            InvalidError: a statement of it had failed, so it was rolled back; or it is not active.
        """
        (reply,) = await self._end("COMMIT")
        if reply.tag != "COMMIT":
            raise InvalidError("the transaction was rolled back: a statement of it had failed")

    async def rollback(self) -> None:
        """Roll back and give the connection back. See `SqlTransaction.rollback`."""
        await self._end("ROLLBACK")

    async def savepoint(self, name: str) -> None:
        """See `SqlTransaction.savepoint`."""
        await self.run(f"SAVEPOINT {check_savepoint_name(name)}")

    async def rollback_to(self, name: str) -> None:
        """See `SqlTransaction.rollback_to`."""
        await self.run(f"ROLLBACK TO SAVEPOINT {check_savepoint_name(name)}")

    async def release(self, name: str) -> None:
        """See `SqlTransaction.release`."""
        await self.run(f"RELEASE SAVEPOINT {check_savepoint_name(name)}")

    async def _end(self, verb: str) -> tuple[PostgresReply, ...]:
        """End it, whatever happens; not stopped by cancellation, but bounded: a server that is silent is left."""
        self._check_active()
        with trio.CancelScope(shield=True):
            async with self._turn.held():
                self._check_active()
                self._active = False
                replies: tuple[PostgresReply, ...] = ()
                with trio.move_on_after(self._wait_s) as waiting:
                    try:
                        replies = await self._connection.run(verb)
                    finally:
                        self._pool.give_now(self._connection)
        if waiting.cancelled_caught:
            raise TimeoutExpiredError(f"{verb}: no answer within {self._wait_s:g} s")
        return replies

    def _check_active(self) -> None:
        if not self._active:
            raise InvalidError("transaction is not active")


class PostgresStatement:
    """A prepared statement as `SqlStatement`: prepared on each connection when it is first run there."""

    def __init__(self, runner: PostgresDatabase | PostgresTransaction, text: str, marks_count: int) -> None:
        self._runner = runner
        self._text = text
        self._marks_count = marks_count
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def query(self, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run and fetch. See `SqlStatement.query`."""
        return _rows(await self._run(params))

    async def execute(self, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect. See `SqlStatement.execute`."""
        return _effect(await self._run(params))

    async def close(self) -> None:
        """Close. The server's copies go when their connections need the room. See `SqlStatement.close`."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise InvalidError("statement is already closed")
        self._closed = True

    async def _run(self, params: Sequence[SqlValue]) -> tuple[PostgresReply, ...]:
        if self._closed:
            raise InvalidError("statement is closed")
        if len(params) != self._marks_count:
            raise InvalidError(f"sql: expected {self._marks_count} arguments, got {len(params)}")
        return await self._runner.run(self._text, params, keep=True)


def _rows(replies: Sequence[PostgresReply]) -> QueryResult:
    """The first reply that has columns, as in the reference."""
    for reply in replies:
        if reply.columns:
            return QueryResult(reply.columns, reply.rows)
    return QueryResult()


def _effect(replies: Sequence[PostgresReply]) -> ExecuteResult:
    """What the last statement did. PostgreSQL tells no id of an inserted row: `RETURNING` does."""
    return ExecuteResult(0, replies[-1].affected_count) if replies else ExecuteResult()
