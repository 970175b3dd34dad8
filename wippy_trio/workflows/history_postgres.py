"""Histories in PostgreSQL: several nodes, each run run by one of them.

A node has a number that no other ever had, and a row that is its lease. Each writing transaction holds that row
(`FOR KEY SHARE`): a node whose row is gone cannot write, whatever its clock says. Who takes over deletes the row of a
node whose lease is over, or whose session has ended (its advisory lock is free) for `LOST_S`; its open runs are free
then. Times are the server's. Source: ours (issue 6; docs/decisions/0010-ownership-in-postgresql.md).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from determinism.seams import Environment
from wippy_trio.core.errors import ConflictError, LuaError, UnavailableError
from wippy_trio.storage.postgres import PostgresConnection, PostgresReply
from wippy_trio.storage.postgres_pool import PostgresPool
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings, check_real
from wippy_trio.storage.sql import SqlValue
from wippy_trio.workflows.history import (
    Change,
    Claimed,
    NewRun,
    Pending,
    Posted,
    Record,
    RunInfo,
    RunQuery,
    Status,
)
from wippy_trio.workflows.history_postgres_batch import (
    COLUMNS,
    FIELDS,
    Batch,
    Job,
    Post,
    array,
    check_texts,
)
from wippy_trio.workflows.history_postgres_node import LEASE_S, SESSION, Lent, PostgresNode

__all__ = ["PostgresHistory"]

_BATCH_COUNT = 512
_QUEUE_COUNT = 100_000
_PATIENCE_S = 15.0  # how long a write waits for a server that went away
_TRIES_COUNT = 8
_RACES = frozenset({"40001", "40P01"})
_PENDING = "seq, kind, due_ns, since_ns, attempts_count, data"

_CLAIM = f"""UPDATE wippy_runs SET owner = $1 WHERE run_id IN (
SELECT run_id FROM wippy_runs WHERE status = 'open' AND owner IS NULL
ORDER BY started_ns, run_id LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING {COLUMNS}"""
_PURGE = """WITH gone AS (DELETE FROM wippy_runs WHERE run_id IN (
SELECT run_id FROM wippy_runs WHERE closed_ns > 0 AND closed_ns < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING run_id),
records AS (DELETE FROM wippy_records WHERE run_id IN (SELECT run_id FROM gone)),
workflows AS (DELETE FROM wippy_workflows WHERE run_id IN (SELECT run_id FROM gone))
SELECT count(*) FROM gone"""


class _Waiting:
    __slots__ = ("done", "error", "event", "job")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.event = trio.Event()
        self.error: LuaError | None = None
        self.done = False


class _Attempt:
    """One try at a transaction: its number in the server, and whether its end was asked for."""

    def __init__(self) -> None:
        self.number = ""
        self.committing = False
        self.errors: list[LuaError | None] = []


class _Kept:
    """The connection of a transaction, as `Runner`: statements stay prepared."""

    def __init__(self, connection: PostgresConnection) -> None:
        self._connection = connection

    async def run(self, text: str, params: Sequence[SqlValue]) -> tuple[PostgresReply, ...]:
        return await self._connection.run(text, params, keep=True)


class PostgresHistory:
    """A history in a PostgreSQL database; see `History`. Opened with `open`.

    What is written while a transaction is under way goes into the next one. A server that goes away for less than 15 s
    is waited for: a transaction whose end is not known is looked up there, and made again where it was not committed.
    """

    def __init__(self, settings: PostgresSettings, environment: Environment, name: str) -> None:
        check_real(environment, "workflows.database")
        settings = attrs.evolve(settings, options={**SESSION, **settings.options})
        self._environment = environment
        self._limits = PostgresLimits(open_max_count=6, idle_max_count=6)
        self._pool = PostgresPool(settings, environment, "workflows.database", self._limits)
        self._node = PostgresNode(settings, environment, name, self._pool, self._limits)
        self._line: deque[_Waiting] = deque()
        self._busy = self._closed = False
        self._failed: LuaError | None = None
        self.on_failed: Callable[[LuaError], None] = lambda _: None
        #: Transactions that were committed, for whoever measures.
        self.commits_count = 0

    @classmethod
    async def open(
        cls, where: str | PostgresSettings, environment: Environment, *, name: str = "node"
    ) -> PostgresHistory:
        """Make the tables where they are missing, and become a node.

        Args:
            where: settings, or `postgresql://user:password@host:port/database`.
            environment: the seams.
            name: of the node, for people.

        Raises:
            InvalidError: a malformed address.
            UnavailableError: the server cannot be reached, or the tables are another version's.
            UnsupportedError: in a simulation, or without psycopg.
        """
        settings = PostgresSettings.from_url(where) if isinstance(where, str) else where
        history = cls(settings, environment, name)
        try:
            await history._node.enter()
        except BaseException:
            with trio.CancelScope(shield=True):
                await history.aclose()
            raise
        return history

    @property
    def failed(self) -> LuaError | None:
        """See `History.failed`."""
        return self._failed

    @property
    def lease_s(self) -> float:
        """See `History.lease_s`."""
        return LEASE_S

    async def wait_posted(self) -> None:
        """Wait until another node has left a message for a run of this one's; for one caller at a time. Also returns
        when one may have been missed.

        Raises:
            UnavailableError: the server cannot be reached.
        """
        await self._node.wait_told()

    async def renew(self, now_ns: int, until_ns: int) -> None:
        """See `History.renew`. Only the difference of the times counts."""
        self._check_writable()
        try:
            await self._node.renew(max(1.0, (until_ns - now_ns) / 1e9))
        except ConflictError as lost:
            self._fail(lost)
            raise

    async def claim(self, now_ns: int, limit: int) -> list[Claimed]:
        """See `History.claim`. Leases end by the server's clock."""
        del now_ns
        self._check_writable()
        await self._node.bury()
        async with Lent(self._pool) as connection:
            await connection.run("BEGIN")
            await self._node.hold(connection)
            claimed = (await connection.run(_CLAIM, [self._node.number, limit], keep=True))[0].rows
            infos = sorted(map(_info, claimed), key=lambda info: (info.started_ns, info.run_id))
            text = f"SELECT run_id, {_PENDING} FROM wippy_pending WHERE run_id = ANY ($1::text[]) ORDER BY run_id, seq"
            rows = (await connection.run(text, [array(info.run_id for info in infos)], keep=True))[0].rows
            await connection.run("COMMIT")
        waits: dict[str, list[Pending]] = {info.run_id: [] for info in infos}
        for run_id, *rest in rows:
            waits[str(run_id)].append(Pending(*_any(rest)))
        return [Claimed(info, waits[info.run_id]) for info in infos]

    # writing: whoever comes while a transaction is under way shares the next one ------------------------------------
    def _check_writable(self) -> None:
        if self._closed:
            raise UnavailableError("the history of workflows is closed")
        if self._failed is not None:
            raise self._failed

    def _fail(self, problem: LuaError) -> None:
        if self._failed is None:
            self._failed = problem
            self.on_failed(problem)

    async def _write(self, job: Job) -> None:
        self._check_writable()
        if len(self._line) >= _QUEUE_COUNT:
            raise UnavailableError(f"the history of workflows has {_QUEUE_COUNT} writes to do already")
        waiting = _Waiting(job)
        self._line.append(waiting)
        with trio.CancelScope(shield=True):  # it is written whether or not anyone waits: the caller has to know
            while not waiting.done:
                if self._busy:
                    await waiting.event.wait()
                    waiting.event = trio.Event()
                else:
                    await self._flush()
        if waiting.error is not None:
            raise waiting.error

    async def _flush(self) -> None:
        """One transaction for those at the head of the line; then the next of them takes over."""
        self._busy = True
        batch = [self._line.popleft() for _ in range(min(len(self._line), _BATCH_COUNT))]
        try:
            if self._failed is not None:
                raise self._failed
            errors = await self._commit([waiting.job for waiting in batch])
            for waiting, error in zip(batch, errors, strict=True):
                waiting.error = error
            self.commits_count += 1
        except LuaError as problem:
            taken_over = isinstance(problem, ConflictError) and not problem.details
            self._fail(problem if taken_over else _unwritten(problem))
            for waiting in batch:
                waiting.error = self._failed
        finally:
            self._busy = False
            for waiting in batch:
                waiting.done = True
                waiting.event.set()
            if self._line:
                self._line[0].event.set()

    async def _commit(self, jobs: Sequence[Job]) -> list[LuaError | None]:
        """Write the jobs, durably. Races are tried again, a lost connection too, once it is known how it ended.

        Raises:
            LuaError: nothing was written, or it cannot be known whether it was.
        """
        clock = self._environment.clock
        until_s = clock.monotonic_s() + _PATIENCE_S
        attempt, doubt = _Attempt(), False
        for number in range(10_000):
            try:
                if doubt:
                    if await self._was_committed(attempt.number):
                        return attempt.errors
                    doubt = False
                attempt = _Attempt()
                with trio.fail_after(max(1.0, until_s - clock.monotonic_s())):
                    return await self._transact(jobs, attempt)
            except ConflictError as race:
                if (race.details or {}).get("sqlstate") not in _RACES or number >= _TRIES_COUNT:
                    raise
            except (UnavailableError, trio.TooSlowError) as loss:
                doubt = doubt or attempt.committing
                if clock.monotonic_s() >= until_s or self._failed is not None:
                    raise UnavailableError(str(loss) or "the server does not answer") from None
            await trio.sleep(min(0.5, 0.005 * 2 ** min(number, 10)) * (1 + self._environment.entropy.random()))
        raise UnavailableError("the server does not answer")

    async def _transact(self, jobs: Sequence[Job], attempt: _Attempt) -> list[LuaError | None]:
        async with Lent(self._pool) as connection:
            await connection.run("BEGIN")
            attempt.number = await self._node.hold(connection)
            attempt.errors = await Batch(jobs, self._node.number).write(_Kept(connection))
            attempt.committing = True
            await connection.run("COMMIT")
        return attempt.errors

    async def _was_committed(self, number: str) -> bool:
        while True:
            ((status,),) = (await self._ask("SELECT pg_xact_status($1::xid8)", [number]))[0].rows
            if status != "in progress":  # None: so old that it is forgotten
                return status == "committed"
            await trio.sleep(0.05)

    async def create(self, new: NewRun) -> None:
        """See `History.create`."""
        _check(new)
        await self._write(new)

    async def append(self, change: Change) -> None:
        """See `History.append`."""
        if change.closing is not None and change.closing.successor is not None:
            _check(change.closing.successor)
        await self._write(change)

    async def note(self, run_id: str, pending: Pending) -> None:
        """See `History.note`."""
        await self._write((run_id, pending))

    async def post(self, run_id: str, data: bytes, at_ns: int) -> None:
        """See `History.post`."""
        check_texts(run_id)
        await self._write(Post(run_id, at_ns, data))

    async def purge(self, closed_before_ns: int, limit: int) -> int:
        """See `History.purge`."""
        self._check_writable()
        ((count,),) = (await self._ask(_PURGE, [closed_before_ns, limit]))[0].rows
        return int(str(count))

    # reading -------------------------------------------------------------------------------------------------------
    async def load(self, run_id: str) -> list[Record]:
        """See `History.load`."""
        text = "SELECT at_ns, data FROM wippy_records WHERE run_id = $1 ORDER BY number"
        return [Record(int(str(at)), _bytes(data)) for at, data in await self._rows(text, [run_id])]

    async def run(self, run_id: str) -> RunInfo | None:
        """See `History.run`."""
        rows = await self._rows(f"SELECT {COLUMNS} FROM wippy_runs WHERE run_id = $1", [run_id])
        return _info(rows[0]) if rows else None

    async def latest(self, workflow_id: str) -> RunInfo | None:
        """See `History.latest`."""
        text = (
            f"SELECT {COLUMNS} FROM wippy_runs WHERE run_id ="
            " (SELECT run_id FROM wippy_workflows WHERE workflow_id = $1)"
        )
        rows = await self._rows(text, [workflow_id])
        return _info(rows[0]) if rows else None

    async def pending(self, run_id: str) -> list[Pending]:
        """See `History.pending`."""
        rows = await self._rows(f"SELECT {_PENDING} FROM wippy_pending WHERE run_id = $1 ORDER BY seq", [run_id])
        return [Pending(*_any(row)) for row in rows]

    async def posted(self, limit: int) -> list[Posted]:
        """See `History.posted`."""
        text = (
            "SELECT p.number, p.run_id, p.at_ns, p.data FROM wippy_posted p JOIN wippy_runs r USING (run_id)"
            " WHERE r.owner = $1 ORDER BY p.number LIMIT $2"
        )
        rows = await self._rows(text, [self._node.number, limit])
        return [Posted(int(str(row[0])), str(row[1]), int(str(row[2])), _bytes(row[3])) for row in rows]

    async def find(self, query: RunQuery) -> list[RunInfo]:
        """See `History.find`."""
        where, values = ["true"], list[SqlValue]()
        for field in ("workflow_id", "name", "status", "worker"):
            if wanted := getattr(query, field):
                values.append(wanted)
                where.append(f"{field} = ${len(values)}")
        if query.before_ns:
            values.append(query.before_ns)
            where.append(f"started_ns < ${len(values)}")
        values.append(query.limit)
        text = f"SELECT {COLUMNS} FROM wippy_runs WHERE {' AND '.join(where)}"
        text = f"{text} ORDER BY started_ns DESC, run_id DESC LIMIT ${len(values)}"
        return [_info(row) for row in await self._rows(text, values)]

    async def _rows(self, text: str, params: Sequence[SqlValue]) -> tuple[tuple[SqlValue, ...], ...]:
        if self._closed:
            raise UnavailableError("the history of workflows is closed")
        return (await self._ask(text, params))[0].rows

    async def _ask(self, text: str, params: Sequence[SqlValue]) -> tuple[PostgresReply, ...]:
        async with Lent(self._pool) as connection:
            return await connection.run(text, params, keep=True)

    async def aclose(self) -> None:
        """See `History.aclose`. What is in the line is written first; then others may take the runs at once."""
        if self._closed:
            return
        with trio.CancelScope(shield=True):
            while self._line and self._failed is None and not self._busy:
                await self._flush()
            self._closed = True
            await self._node.leave()
            await self._pool.aclose()


def _check(new: NewRun) -> None:
    check_texts(*(value for value in attrs.astuple(new.info) if isinstance(value, str)), new.expected)
    if new.closing is not None and new.closing.successor is not None:
        _check(new.closing.successor)


def _unwritten(problem: LuaError) -> UnavailableError:
    return UnavailableError(f"the history of workflows cannot be written: {problem}", retryable=False)


def _any(row: Sequence[Any]) -> Sequence[Any]:
    return row


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _info(row: Sequence[Any]) -> RunInfo:
    fields = dict(zip(FIELDS, row, strict=True))
    fields["status"] = Status(fields["status"])
    return RunInfo(**fields)
