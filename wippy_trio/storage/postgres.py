"""A PostgreSQL connection on trio: psycopg's libpq and its I/O generators, waited for through the seams.

psycopg's own asynchronous connection waits and locks on asyncio; below it lie generators that say "wait until this
socket can be read", and those know no event loop. They are driven here, so nothing of asyncio runs.
Source: decision 0007 (docs/decisions/0007-postgresql-on-trio.md), psycopg's and PostgreSQL's manuals.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from determinism.seams import Descriptors, Environment
from wippy_trio.core.errors import InvalidError, LuaError, UnavailableError
from wippy_trio.storage.postgres_settings import (
    READ,
    WRITE,
    PostgresLimits,
    PostgresSettings,
    addresses,
    connected,
    drive_pairs,
)
from wippy_trio.storage.postgres_values import encoded, error_from_state, needs_types, reader
from wippy_trio.storage.sql import SqlValue

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

__all__ = ["PostgresConnection", "PostgresReply"]

T = TypeVar("T")
_CHUNK_ROWS_COUNT = 1000
_KEPT_MAX_COUNT = 128  # prepared statements, and known parameter types, of a connection
_STALE_STATES = frozenset({"0A000", "26000"})  # "cached plan must not change result type", "does not exist"


@attrs.frozen(slots=True)
class PostgresReply:
    """What one statement gave: column names, rows, rows touched, and the server's word for what was done."""

    columns: tuple[str, ...]
    rows: tuple[tuple[SqlValue, ...], ...]
    affected_count: int
    tag: str


class PostgresConnection:
    """An open connection, for one caller at a time. A cancelled call cancels its statement in the server."""

    def __init__(self, pgconn: PGconn, descriptors: Descriptors, limits: PostgresLimits, opened_s: float) -> None:
        self._pgconn = pgconn
        self._descriptors = descriptors
        self._limits = limits
        self.opened_s = opened_s
        self._kept: OrderedDict[str, bytes] = OrderedDict()  # text -> name of its prepared statement
        self._types: OrderedDict[str, tuple[int, ...]] = OrderedDict()  # text -> types of its parameters
        self._last_kept = 0
        self._finished = False
        self.notified: Callable[[str, str], None] | None = None
        self._dying = False
        pgconn.notify_handler = self._notify
        pgconn.notice_handler = self._notice

    @classmethod
    async def connect(
        cls, settings: PostgresSettings, environment: Environment, limits: PostgresLimits
    ) -> PostgresConnection:
        """Log in, within `limits.connect_s` (or the option `connect_timeout`).

        Raises:
            UnavailableError: no server there, not in time, or it takes no more connections.
            PermissionDeniedError: the login is refused.
            InvalidError: no such database, or an unknown option.
        """
        given = settings.options.get("connect_timeout", "")
        bound_s = float(given) if given.isdecimal() and int(given) else limits.connect_s
        failure: LuaError = UnavailableError(f"no answer from {settings.host}:{settings.port} within {bound_s:g} s")
        with trio.move_on_after(bound_s):
            for address in await addresses(settings, environment.descriptors):
                try:
                    pgconn = await connected(settings.conninfo(address), environment.descriptors)
                except LuaError as error:
                    failure = error
                    continue
                connection = cls(pgconn, environment.descriptors, limits, environment.clock.monotonic_s())
                if not (pgconn.parameter_status(b"DateStyle") or b"").startswith(b"ISO"):
                    await connection.run("SET datestyle = 'ISO, MDY'")
                return connection
        raise failure

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return self._finished or self._pgconn.status != 0

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, be it one that can only be rolled back."""
        return self._pgconn.transaction_status != 0

    @property
    def backend_pid(self) -> int:
        """Process id of the server's side."""
        return self._pgconn.backend_pid

    def healthy_now(self) -> bool:
        """Whether the server has not hung up, or said that it will; costs one look at the socket."""
        import psycopg

        if self.closed or self.in_transaction:
            return False
        try:
            self._pgconn.consume_input()
            while (notification := self._pgconn.notifies()) is not None:
                self._notify(notification)
        except psycopg.Error:
            return False
        return not self._dying

    def close_now(self) -> None:
        """Close. May be called twice."""
        if self._finished:
            return
        self._finished = True
        if self._pgconn.status == 0:
            self._descriptors.closing(self._pgconn.socket)
        self._pgconn.finish()

    async def run(self, text: str, params: Sequence[SqlValue] = (), *, keep: bool = False) -> tuple[PostgresReply, ...]:
        """Run `text`; without `params` it may hold several statements, and there is a reply for each.

        Args:
            text: SQL with `$1` marks.
            params: one value for each mark.
            keep: prepare the statement on the server and use it again the next time.

        Raises:
            LuaError: as the server reports it; the connection stays usable unless `closed`.
        """
        if "\0" in text:
            raise InvalidError("SQL text holds a zero byte")
        if not params and not keep:
            return await self._ask(lambda: self._pgconn.send_query(text.encode()))
        types: Sequence[int] = await self._parameter_types(text) if needs_types(params) else ()
        values = encoded(params, types)
        if not keep:
            return await self._ask(lambda: self._pgconn.send_query_params(text.encode(), values))
        name = self._kept.get(text) or await self._keep(text)
        self._kept.move_to_end(text)
        stale_is_harmless = not self.in_transaction
        try:
            return await self._ask(lambda: self._pgconn.send_query_prepared(name, values))
        except LuaError as error:
            if not stale_is_harmless or (error.details or {}).get("sqlstate") not in _STALE_STATES:
                raise
        self._kept.pop(text, None)  # the table has changed, or a pooler gave us another session
        return await self._ask(lambda: self._pgconn.send_query_params(text.encode(), values))

    async def describe(self, text: str) -> tuple[int, ...]:
        """Have the server read `text`; the type numbers of its parameters. Raises as `run`."""
        await self._ask(lambda: self._pgconn.send_prepare(b"", text.encode()), [])
        results: list[PGresult] = []
        await self._ask(lambda: self._pgconn.send_describe_prepared(b""), results)
        return tuple(results[0].param_type(index) for index in range(results[0].nparams))

    async def wait_notified(self) -> None:
        """Wait until the server says something by itself; what was notified goes to `notified(channel, payload)`.

        Raises:
            UnavailableError: the connection is lost.
        """
        from psycopg import generators

        await self._drive(generators.notifies(self._pgconn))
        if self.closed:
            raise UnavailableError("connection lost")

    async def _parameter_types(self, text: str) -> tuple[int, ...]:
        known = self._types.get(text)
        if known is None:
            known = await self.describe(text)
            if len(self._types) >= _KEPT_MAX_COUNT:
                self._types.popitem(last=False)
            self._types[text] = known
        return known

    async def _keep(self, text: str) -> bytes:
        if len(self._kept) >= _KEPT_MAX_COUNT:
            _, oldest = self._kept.popitem(last=False)
            await self._ask(lambda: self._pgconn.send_close_prepared(oldest), [])
        self._last_kept += 1
        name = b"wippy_%d" % self._last_kept
        await self._ask(lambda: self._pgconn.send_prepare(name, text.encode()), [])
        self._kept[text] = name
        return name

    async def _ask(self, send: Callable[[], None], raw: list[PGresult] | None = None) -> tuple[PostgresReply, ...]:
        """Send and take every reply. Cancelled, it stops the statement before the cancellation goes on.

        Rows come in pieces, so that too many of them are not held first and counted then. With `raw` the results are
        put there as they are.
        """
        await trio.lowlevel.checkpoint()
        import psycopg

        if self.closed:
            raise UnavailableError("connection is closed")
        try:
            send()
            if raw is None and psycopg.capabilities.has_stream_chunked():
                self._pgconn.set_chunked_rows_mode(_CHUNK_ROWS_COUNT)
        except psycopg.Error as error:
            raise self._lost(error) from None
        collector = _Collector(self._limits.rows_max_count, raw)
        work = _replies(self._pgconn, collector)
        try:
            await self._drive(work)
        except trio.Cancelled:
            await self._stop(work)
            raise
        if collector.overflowing:
            await self._stop(None)
            raise InvalidError(f"query gives more than {self._limits.rows_max_count} rows")
        if collector.copying:
            self.close_now()
            raise InvalidError("COPY to or from the client is not supported")
        if collector.failure is not None:
            raise collector.failure
        return tuple(collector.replies)

    async def _stop(self, work: Generator[int, int, None] | None) -> None:
        """Cancel what runs in the server and take what it still says; close the connection where that is too slow."""
        finished = False
        with trio.CancelScope(shield=True), trio.move_on_after(self._limits.cancel_s):
            try:
                await self._request_cancel()
                if work is not None:
                    await self._drive(work, started=True)
                finished = await self._drive(_drained(self._pgconn))
            except LuaError:
                finished = False  # the request did not get through, or the connection broke
        if not finished:
            self.close_now()

    async def _request_cancel(self) -> None:
        import psycopg
        from psycopg import generators

        try:
            request = self._pgconn.cancel_conn()
            request.start()
            await drive_pairs(generators.cancel(request), self._descriptors)
        except psycopg.Error as error:
            raise UnavailableError(str(error)) from None

    async def _drive(self, work: Generator[int, int, T], *, started: bool = False) -> T:
        import psycopg

        try:
            wanted = work.send(0) if started else next(work)
            while True:
                read, write = await self._descriptors.wait(
                    self._pgconn.socket, read=bool(wanted & READ), write=bool(wanted & WRITE)
                )
                wanted = work.send(READ * read + WRITE * write)
        except StopIteration as done:
            result: T = done.value
            return result
        except (psycopg.Error, OSError, trio.ClosedResourceError) as error:
            raise self._lost(error) from None

    def _lost(self, error: BaseException) -> LuaError:
        """The world's fault while talking: the connection cannot be used any more."""
        self.close_now()
        return UnavailableError(f"connection lost: {' '.join(str(error).split())}")

    def _notify(self, notice: Any) -> None:
        if self.notified is not None:
            self.notified(notice.relname.decode(), notice.extra.decode())

    def _notice(self, notice: PGresult) -> None:
        """A word of the server that nobody asked for; a fatal one (86 is V: severity) comes before it hangs up."""
        self._dying = self._dying or notice.error_field(86) in {b"FATAL", b"PANIC"}


class _Collector:
    """Takes results as they come and makes replies of them."""

    def __init__(self, rows_max_count: int, raw: list[PGresult] | None) -> None:
        self._room_count = rows_max_count
        self._raw = raw
        self._rows: list[tuple[SqlValue, ...]] = []
        self._done = (0, "")
        self.replies: list[PostgresReply] = []
        self.failure: LuaError | None = None
        self.overflowing = self.copying = False

    def add(self, result: PGresult) -> bool:
        """Take one result; False where nothing more must be read."""
        from psycopg.pq import ExecStatus

        status = result.status
        if status == ExecStatus.FATAL_ERROR:
            state = (result.error_field(67) or b"XX000").decode()  # 67 is C: the SQLSTATE
            message = (result.error_field(77) or result.error_message).decode("utf-8", "replace")  # 77 is M
            self.failure = self.failure or error_from_state(state, message)
        elif status in {ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH}:
            self.copying = True
            return False
        elif self._raw is not None:
            self._raw.append(result)
        else:
            self._take_rows(result)
            if result.command_status:  # on the last piece that has rows, and on a reply without any
                self._done = result.command_tuples or 0, result.command_status.decode()
            if status not in {ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK}:
                self._finish(result)
        return not self.overflowing

    def _take_rows(self, result: PGresult) -> None:
        count = result.ntuples
        if not count or self.overflowing:
            return
        self._room_count -= count
        if self._room_count < 0:
            self.overflowing = True
            self._rows.clear()
            return
        value_of = result.get_value
        readers = [(column, reader(result.ftype(column))) for column in range(result.nfields)]
        for row in range(count):
            self._rows.append(
                tuple([None if (value := value_of(row, column)) is None else read(value) for column, read in readers])
            )

    def _finish(self, result: PGresult) -> None:
        columns = tuple((result.fname(column) or b"").decode() for column in range(result.nfields))
        affected_count, tag = self._done
        self.replies.append(PostgresReply(columns, tuple(self._rows), affected_count, tag))
        self._rows, self._done = [], (0, "")


def _replies(pgconn: PGconn, collector: _Collector) -> Generator[int, int, None]:
    from psycopg import generators

    yield from generators.send(pgconn)
    while True:
        result = yield from generators.fetch(pgconn)
        if result is None or not collector.add(result):
            return


def _drained(pgconn: PGconn) -> Generator[int, int, bool]:
    """Take and drop what is left; False where that cannot be done because a COPY is under way."""
    from psycopg import generators
    from psycopg.pq import ExecStatus

    while (result := (yield from generators.fetch(pgconn))) is not None:
        if result.status in {ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH}:
            return False
    return True
