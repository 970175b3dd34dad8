"""SQLite for trio: one connection, used by one worker thread call at a time, callers served in order.

As in the reference there is exactly one connection per entry, so a transaction keeps everyone else waiting; here the
wait has a bound. A cancelled call interrupts its statement and leaves the connection usable.
Source: docs system/database, lua/storage/sql.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import attrs
import trio

from determinism.seams import Environment
from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.storage.sql import (
    Dialect,
    ExecuteResult,
    Isolation,
    PoolStats,
    QueryResult,
    SqlRunner,
    SqlValue,
    check_savepoint_name,
)
from wippy_trio.storage.sql_sqlite_connection import SqliteConnection, Ticket
from wippy_trio.storage.turns import Turn

if TYPE_CHECKING:
    from wippy_trio.storage.sql_sqlite_simulated import SimulatedSqlite

__all__ = ["SqliteDatabase", "SqliteLimits", "SqliteStatement", "SqliteTransaction", "sqlite_of_world"]

P = ParamSpec("P")
T = TypeVar("T")
_INTERRUPT_EVERY_S = 0.005
#: In a simulation, where a statement cannot wait inside SQLite: when it is tried again, and for how long.
_LOCKED_AGAIN_S = 0.01
_LOCKED_MOST_S = 5.0


@attrs.frozen(slots=True)
class SqliteLimits:
    """Bounds of one database: waits in seconds, numbers as counts.

    `lifetime_s` is the age after which a file's connection is reopened; an in-memory database is never reopened, for
    that would empty it.
    """

    wait_s: float = 30.0
    waiters_max_count: int = 1024
    rows_max_count: int = 1_000_000
    lifetime_s: float = 3600.0
    close_wait_s: float = 5.0


class SqliteDatabase:
    """A SQLite database as `SqlDatabase`: opened with `open`, closed with `aclose`."""

    dialect = Dialect.SQLITE

    def __init__(self, path: str, environment: Environment, name: str, limits: SqliteLimits) -> None:
        self._path = path
        self._environment = environment
        self._name = name
        self._lane = f"sql:{name}"
        self._simulated = sqlite_of_world(environment)
        self._limits = limits
        self._connection: SqliteConnection | None = None
        self._opened_s = 0.0
        self._closed = False
        self._lifetime_closed = 0
        self._in_transaction = False
        self.turn = Turn(
            f"database {name}",
            environment.clock,
            wait_s=limits.wait_s,
            waiters_max_count=limits.waiters_max_count,
        )

    @classmethod
    async def open(
        cls, path: str, environment: Environment, *, name: str = "sqlite", limits: SqliteLimits | None = None
    ) -> SqliteDatabase:
        """Open (and create) the database at `path`, a file or `:memory:`; WAL journal.

        Raises:
            UnavailableError: the file cannot be opened.
        """
        database = cls(path, environment, name, limits or SqliteLimits())
        try:
            await database._connect()
        except BaseException:
            if database._simulated is not None:
                database._simulated.release()
            raise
        return database

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run and fetch. See `SqlRunner.query`."""
        async with self.turn.held():
            return await self.call(SqliteConnection.query, text, tuple(params))

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect. See `SqlRunner.execute`."""
        async with self.turn.held():
            return await self.call(SqliteConnection.execute, text, tuple(params))

    async def prepare(self, text: str) -> SqliteStatement:
        """Check `text` and keep it. See `SqlRunner.prepare`."""
        async with self.turn.held():
            head, marks_count = await self.call(SqliteConnection.prepare, text)
        return SqliteStatement(self, head, marks_count)

    async def begin(self, isolation: Isolation = Isolation.DEFAULT, *, read_only: bool = False) -> SqliteTransaction:
        """Start a transaction; every level is SQLite's own, which is serializable.

        `read_only` is kept by SQLite: a write raises `PermissionDeniedError`. (The reference ignores the flag here.)
        """
        del isolation
        await self.turn.take()
        try:
            if read_only:
                await self.call(SqliteConnection.set_read_only, True)
            await self.call(SqliteConnection.query, "BEGIN", ())
        except BaseException:
            await self.end_transaction(read_only=read_only)
            raise
        self._in_transaction = True
        turn = Turn("transaction", self._environment.clock, wait_s=self._limits.wait_s)
        return SqliteTransaction(self, turn, read_only=read_only)

    def stats_now(self) -> PoolStats:
        """Numbers of the pool of one."""
        opened, taken = int(self._connection is not None), int(self.turn.taken)
        return PoolStats(
            max_open_connections=1,
            open_connections=opened,
            in_use=taken,
            idle=max(0, opened - taken),
            wait_count=self.turn.wait_count,
            wait_ns=self.turn.wait_ns,
            max_lifetime_closed=self._lifetime_closed,
        )

    async def aclose(self) -> None:
        """Refuse new work, wait `close_wait_s` for running work, interrupt what is left, close."""
        if self._closed:
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            taken = False
            with trio.move_on_after(self._limits.close_wait_s):
                await self.turn.take()
                taken = True
            connection, self._connection = self._connection, None
            if connection is not None:
                if not taken:  # an interrupt without need would keep SQLite from putting its log away
                    connection.interrupt()
                await self._environment.threads.run(connection.close, lane=self._lane)
            if self._simulated is not None:
                self._simulated.release()
            if taken:
                self.turn.give_now()  # whoever waits learns that the database is closed

    async def call(
        self, method: Callable[Concatenate[SqliteConnection, Ticket, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `method(connection, ticket, *args)` in a worker thread; the caller holds the turn.

        Cancelled, it interrupts the statement, waits for the thread and lets the cancellation through.

        Raises:
            UnavailableError: the database is closed.
        """
        if self._simulated is not None:
            return await self._call_in_place(method, *args, **kwargs)
        connection = await self._current()
        ticket = Ticket()
        outcome: T | None = None
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_interrupt_when_cancelled, connection, ticket)
            try:
                outcome = await self._environment.threads.run(method, connection, ticket, *args, lane=self._lane)
            except Exception as error:  # noqa: BLE001 - raised again below, outside the nursery's exception group
                failure = error
            finally:
                ticket.done = True
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return outcome  # type: ignore[return-value]  # set, for nothing failed

    async def _call_in_place(
        self, method: Callable[Concatenate[SqliteConnection, Ticket, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`call` in a simulation: there is no thread to interrupt, and a lock is waited for out here."""
        clock = self._environment.clock
        until_s = clock.monotonic_s() + _LOCKED_MOST_S
        while True:
            connection, ticket = await self._current(), Ticket()
            work = lambda connection=connection, ticket=ticket: method(connection, ticket, *args, **kwargs)
            try:
                return await self._environment.threads.run(work, lane=self._lane)
            except UnavailableError:
                if not ticket.locked or clock.monotonic_s() >= until_s:
                    raise
            await trio.sleep(_LOCKED_AGAIN_S)

    async def _current(self) -> SqliteConnection:
        connection = self._connection
        if self._closed or connection is None:
            raise UnavailableError("connection pool is closed", retryable=False)
        if connection.is_lost:
            if self._in_transaction:
                raise UnavailableError("the connection was lost, and the transaction with it")
            await self._environment.threads.run(connection.close, lane=self._lane)
            return await self._connect()
        too_old = self._environment.clock.monotonic_s() - self._opened_s > self._limits.lifetime_s
        if too_old and not self._in_memory and not self._in_transaction:
            self._connection = None
            self._lifetime_closed += 1
            await self._environment.threads.run(connection.close, lane=self._lane)
            connection = await self._connect()
        return connection

    async def _connect(self) -> SqliteConnection:
        make = lambda: SqliteConnection(
            self._path, rows_max_count=self._limits.rows_max_count, simulated=self._simulated, name=self._name
        )
        connection = await self._environment.threads.run(make, lane=self._lane)
        self._connection, self._opened_s = connection, self._environment.clock.monotonic_s()
        return connection

    @property
    def _in_memory(self) -> bool:
        return ":memory:" in self._path or "mode=memory" in self._path

    def check_transaction(self) -> None:
        """Raise UnavailableError where SQLite has ended the transaction by itself: what follows would be outside."""
        if self._connection is not None and not self._closed:
            self._connection.check_transaction()

    async def end_transaction(self, *, read_only: bool, commit: bool = False) -> None:
        """Commit or roll back and give the turn back, whatever happens; not stopped by cancellation."""
        with trio.CancelScope(shield=True):
            try:
                if commit:
                    self.check_transaction()
                    await self.call(SqliteConnection.query, "COMMIT", ())
            finally:
                try:
                    if not self._closed and not (self._connection and self._connection.is_lost):
                        await self.call(SqliteConnection.rollback)
                        if read_only:
                            await self.call(SqliteConnection.set_read_only, False)
                finally:
                    self._in_transaction = False
                    self.turn.give_now()


class SqliteTransaction:
    """An open transaction as `SqlTransaction`; it holds the database's turn."""

    dialect = Dialect.SQLITE

    def __init__(self, database: SqliteDatabase, turn: Turn, *, read_only: bool) -> None:
        self._database = database
        self._read_only = read_only
        self._active = True
        # Coroutines of one actor may use the transaction side by side; the connection takes one call at a time.
        self._turn = turn

    @property
    def active(self) -> bool:
        """Whether it can still be used."""
        return self._active

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Run and fetch inside. See `SqlRunner.query`."""
        return await self._call(SqliteConnection.query, text, tuple(params))

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect inside. See `SqlRunner.execute`."""
        return await self._call(SqliteConnection.execute, text, tuple(params))

    async def prepare(self, text: str) -> SqliteStatement:
        """Check `text` and keep it; usable while the transaction is active."""
        head, marks_count = await self._call(SqliteConnection.prepare, text)
        return SqliteStatement(self, head, marks_count)

    async def commit(self) -> None:
        """Commit and give the connection back. See `SqlTransaction.commit`."""
        await self._end(commit=True)

    async def rollback(self) -> None:
        """Roll back and give the connection back. See `SqlTransaction.rollback`."""
        await self._end(commit=False)

    async def savepoint(self, name: str) -> None:
        """See `SqlTransaction.savepoint`."""
        await self._savepoint("SAVEPOINT", name)

    async def rollback_to(self, name: str) -> None:
        """See `SqlTransaction.rollback_to`."""
        await self._savepoint("ROLLBACK TO SAVEPOINT", name)

    async def release(self, name: str) -> None:
        """See `SqlTransaction.release`."""
        await self._savepoint("RELEASE SAVEPOINT", name)

    async def _savepoint(self, verb: str, name: str) -> None:
        self._check_active()
        await self._call(SqliteConnection.execute, f"{verb} {check_savepoint_name(name)}", ())

    async def _call(
        self, method: Callable[Concatenate[SqliteConnection, Ticket, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        self._check_active()
        async with self._turn.held():
            self._check_active()
            self._database.check_transaction()
            return await self._database.call(method, *args, **kwargs)

    async def _end(self, *, commit: bool) -> None:
        self._check_active()
        async with self._turn.held():
            self._check_active()
            self._active = False
            await self._database.end_transaction(read_only=self._read_only, commit=commit)

    def _check_active(self) -> None:
        if not self._active:
            raise InvalidError("transaction is not active")


class SqliteStatement:
    """A prepared statement as `SqlStatement`. SQLite's compiled form lives in the connection's statement cache."""

    def __init__(self, runner: SqlRunner, text: str, marks_count: int) -> None:
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
        self._check(params)
        return await self._runner.query(self._text, params)

    async def execute(self, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Run for the effect. See `SqlStatement.execute`."""
        self._check(params)
        return await self._runner.execute(self._text, params)

    async def close(self) -> None:
        """Close. See `SqlStatement.close`."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise InvalidError("statement is already closed")
        self._closed = True

    def _check(self, params: Sequence[SqlValue]) -> None:
        if self._closed:
            raise InvalidError("statement is closed")
        if len(params) != self._marks_count:
            raise InvalidError(f"sql: expected {self._marks_count} arguments, got {len(params)}")


def sqlite_of_world(environment: Environment) -> SimulatedSqlite | None:
    """The way to SQLite where the disk is a simulated one, else None; whoever gets one `release`s it in the end."""
    if not hasattr(environment.disk, "attached"):
        return None
    from wippy_trio.storage.sql_sqlite_simulated import simulated_sqlite

    return simulated_sqlite(environment)


async def _interrupt_when_cancelled(connection: SqliteConnection, ticket: Ticket) -> None:
    """Wait for the caller's cancellation, then interrupt until the thread has noticed.

    Once is not enough: an interrupt that comes before the statement has started is forgotten by SQLite.
    """
    try:
        await trio.sleep_forever()
    finally:
        if not ticket.done:
            ticket.cancelled = True
            with trio.CancelScope(shield=True):
                while not ticket.done:
                    connection.interrupt()
                    await trio.sleep(_INTERRUPT_EVERY_S)
