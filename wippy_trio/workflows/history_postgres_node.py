"""A node of a PostgreSQL history: its number, its lease, and how it hears of messages. See `history_postgres.py`."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from determinism.seams import Environment
from wippy_trio.core.errors import ConflictError, LuaError, UnavailableError
from wippy_trio.storage.postgres import PostgresConnection, PostgresReply
from wippy_trio.storage.postgres_pool import PostgresPool
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings
from wippy_trio.storage.sql import SqlValue
from wippy_trio.workflows.history_postgres_batch import CHANNEL, SCHEMA

__all__ = ["LEASE_S", "LOST_S", "SESSION", "Lent", "PostgresNode"]

#: Seconds after the last renewal from which a node whose session has ended counts as dead.
LOST_S = 2.0
#: Seconds that a lease holds without being renewed.
LEASE_S = 15.0
#: Settings of a node's sessions: what it holds in a transaction must not outlast it when it freezes or is cut off.
SESSION = {"idle_in_transaction_session_timeout": "10s", "lock_timeout": "10s"}
_VERSION = "1"
_LOCKS = 0x77697070  # "wipp": our class of advisory locks

_ENTER = """INSERT INTO wippy_nodes
VALUES ($1, $2, clock_timestamp(), clock_timestamp() + make_interval(secs => $3))"""
_HOLD = "SELECT pg_current_xact_id()::text FROM wippy_nodes WHERE number = $1 FOR KEY SHARE"
_RENEW = """UPDATE wippy_nodes SET renewed_at = clock_timestamp(),
expires_at = clock_timestamp() + make_interval(secs => $2) WHERE number = $1"""
# One that is in the middle of a transaction is left until that has ended; the server ends it where the node does not.
_BURY = f"""DELETE FROM wippy_nodes WHERE number IN (
SELECT number FROM wippy_nodes WHERE number <> $1 AND (expires_at < clock_timestamp()
OR (renewed_at < clock_timestamp() - make_interval(secs => {LOST_S})
AND pg_try_advisory_xact_lock({_LOCKS}, number))) FOR UPDATE SKIP LOCKED)"""


class PostgresNode:
    """A node, once it has entered: `number` is its own for ever.

    Args:
        settings: where the database is.
        environment: the seams.
        name: for people.
        pool: connections for short work.
        limits: of the session.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        environment: Environment,
        name: str,
        pool: PostgresPool,
        limits: PostgresLimits,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._name = name
        self._pool = pool
        self._limits = limits
        self._session: PostgresConnection | None = None
        self._told = trio.Event()
        self.number = 0

    async def enter(self) -> None:
        """Make the tables where they are missing, and a lease for this node.

        Raises:
            UnavailableError: the server cannot be reached, or the tables are another version's.
        """
        async with Lent(self._pool) as connection:
            await connection.run(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCKS}, 0); {SCHEMA}")
            await connection.run("INSERT INTO wippy_meta VALUES ('version', $1) ON CONFLICT DO NOTHING", [_VERSION])
            (found,) = (await connection.run("SELECT value FROM wippy_meta WHERE key = 'version'"))[0].rows[0]
            await connection.run("COMMIT")
            if found != _VERSION:
                raise UnavailableError(
                    f"workflows.database has format {found!s}; this version knows {_VERSION}", retryable=False
                )
            (number,) = (await connection.run("SELECT nextval('wippy_node_numbers')"))[0].rows[0]
        self.number = int(str(number))
        await self._be_heard()
        await self._ask(_ENTER, [self.number, self._name, LEASE_S])

    async def _be_heard(self) -> PostgresConnection:
        """The session that shows that this node lives, and that hears of messages; a lost one is made again."""
        session = self._session
        if session is None or session.closed:
            session = await PostgresConnection.connect(self._settings, self._environment, self._limits)
            session.notified = self._heard
            self._session = session
            # Where the server has not yet noticed the end of the session before, the lock is still that one's.
            await session.run(f"SELECT pg_try_advisory_lock({_LOCKS}, $1)", [self.number])
            await session.run(f"LISTEN {CHANNEL}")
            self._told.set()
        return session

    def _heard(self, channel: str, payload: str) -> None:
        if channel == CHANNEL and payload == str(self.number):
            self._told.set()

    async def wait_told(self) -> None:
        """Wait until another node has left a message for a run of this one's, or the way to hear of it was lost and
        made again; for one caller at a time.

        Raises:
            UnavailableError: the server cannot be reached.
        """
        session = await self._be_heard()
        while not self._told.is_set():
            await session.wait_notified()
        self._told = trio.Event()

    async def renew(self, lease_s: float) -> None:
        """Hold the lease for so long from now.

        Raises:
            ConflictError: somebody has taken over.
        """
        await self._be_heard()
        replies = await self._ask(_RENEW, [self.number, lease_s])
        if not replies[-1].affected_count:
            raise _taken_over()

    async def bury(self) -> None:
        """End the leases of the dead: their runs are free then."""
        await self._ask(_BURY, [self.number])

    async def hold(self, connection: PostgresConnection) -> str:
        """Make sure, until the end of the connection's transaction, that nobody takes over; the transaction's number.

        Raises:
            ConflictError: somebody has.
        """
        rows = (await connection.run(_HOLD, [self.number], keep=True))[0].rows
        if not rows:
            raise _taken_over()
        return str(rows[0][0])

    async def leave(self) -> None:
        """Give up the lease, so that others may take the runs at once; an error is no matter, for it ends by itself."""
        if self.number:
            with trio.move_on_after(self._limits.close_wait_s):
                try:
                    await self._ask("DELETE FROM wippy_nodes WHERE number = $1", [self.number])
                except LuaError:
                    pass
        if self._session is not None:
            self._session.close_now()

    async def _ask(self, text: str, params: Sequence[SqlValue]) -> tuple[PostgresReply, ...]:
        async with Lent(self._pool) as connection:
            return await connection.run(text, params, keep=True)


def _taken_over() -> ConflictError:
    return ConflictError("another node has taken over the workflows of this one; restart it", retryable=False)


class Lent:
    """A connection of the pool for the block; one whose transaction was not ended is not used again."""

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        self._connection: PostgresConnection | None = None

    async def __aenter__(self) -> PostgresConnection:
        self._connection = await self._pool.take()
        return self._connection

    async def __aexit__(self, *_exc: object) -> None:
        assert self._connection is not None
        self._pool.give_now(self._connection)
