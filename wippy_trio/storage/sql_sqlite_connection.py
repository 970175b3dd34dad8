"""One SQLite connection, blocking: the half of the driver that runs in worker threads, one call at a time.

apsw and not the standard library's sqlite3: it brings its own SQLite (the same on every host, with loadable
extensions), tells the declared type of a column, binds `$1` and `:name` marks by position as the reference does, and
imports as fast. Source: decision in design/libraries.md, docs system/database.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from wippy_trio.core.errors import InvalidError, LuaError, UnavailableError
from wippy_trio.storage.sql import ExecuteResult, QueryResult, SqlValue
from wippy_trio.storage.sql_sqlite_values import bindable, error_from_code, from_column

if TYPE_CHECKING:
    import apsw

    from wippy_trio.storage.sql_sqlite_simulated import SimulatedSqlite

__all__ = ["SqliteConnection", "Ticket"]

_BUSY_TIMEOUT_MS = 5000  # the reference's driver waits as long for another process's lock
_SHAPES_MAX_COUNT = 512


class Ticket:
    """Shared by the calling task and the worker thread: the caller sets `cancelled`, the thread's end sets `done`.

    `locked` is set where another connection's lock stood against the first statement, so that the call can be repeated.
    """

    __slots__ = ("cancelled", "done", "locked")

    def __init__(self) -> None:
        self.cancelled = False
        self.done = False
        self.locked = False


@attrs.frozen(slots=True)
class _Shape:
    """The first statement of a text, how many marks it has, and the text after it."""

    head: str
    marks_count: int
    rest: str


class SqliteConnection:
    """An open connection. Not for two threads at once; `interrupt` alone may come from anywhere.

    Args:
        path: file, `file:` URI, or `:memory:`.
        rows_max_count: most rows one query may give.
        simulated: SQLite of a simulated world; None on a live node.
        name: what the database is called where faults are asked for.
    """

    def __init__(
        self,
        path: str,
        *,
        rows_max_count: int = 1_000_000,
        simulated: SimulatedSqlite | None = None,
        name: str = "sqlite",
    ) -> None:
        import apsw

        self._apsw: Any = apsw
        self._rows_max_count = rows_max_count
        self._simulated = simulated
        self._name = name
        self._born_at = simulated.disk.crash_count if simulated else 0
        self._shapes: dict[str, _Shape] = {}
        self._file = ""
        opened = False
        try:
            flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
            self._database: apsw.Connection
            if simulated is not None:
                self._database = simulated.connect(path, flags)
            else:
                self._database = apsw.Connection(path, flags=flags)
                self._database.set_busy_timeout(_BUSY_TIMEOUT_MS)
            opened = True
            self._file = self._database.filename  # empty for one in memory
            self._database.execute("PRAGMA journal_mode=WAL").fetchall()
        except apsw.Error as error:
            if opened:  # else it would hold its locks until it is collected
                self.close()
            raise self._translated(error) from None

    @property
    def is_lost(self) -> bool:
        """Whether the machine's disk crashed under it (in a simulation): what it remembers is no longer true."""
        simulated = self._simulated
        return simulated is not None and simulated.disk.crash_count != self._born_at and bool(self._file)

    def interrupt(self) -> None:
        """Make a running statement stop with an error; nothing where none runs."""
        try:
            self._database.interrupt()
        except self._apsw.Error:  # closed meanwhile: nothing runs any more
            return

    def close(self) -> None:
        """Close, rolling back what is open."""
        if self._simulated is not None:
            self._simulated.close(self._database, self._file, is_lost=self.is_lost)
        else:
            self._database.close(force=True)

    def query(self, ticket: Ticket, text: str, params: tuple[SqlValue, ...]) -> QueryResult:
        """Run every statement of `text`; the rows are the last one's. Raises as `SqlRunner.query`."""
        return self._run(text, params, ticket)

    def execute(self, ticket: Ticket, text: str, params: tuple[SqlValue, ...]) -> ExecuteResult:
        """Run every statement of `text` for its effect.

        Both numbers are the connection's latest, so a statement that changes no rows repeats the previous ones, as in
        the reference.
        """
        if self._run(text, params, ticket) is _NOTHING:
            return ExecuteResult()
        return ExecuteResult(self._database.last_insert_rowid(), self._database.changes())

    def prepare(self, ticket: Ticket, text: str) -> tuple[str, int]:
        """The first statement of `text` and its number of marks, after SQLite has read it. Raises as `query`."""
        shape = self._shape(text, fresh=True)
        return shape.head, shape.marks_count

    def rollback(self, ticket: Ticket) -> None:
        """End an open transaction without its work; nothing where SQLite has already ended it after an error."""
        if self._database.in_transaction:
            self._run("ROLLBACK", (), ticket)

    def check_transaction(self) -> None:
        """Raise where no transaction is open any more: SQLite rolls back by itself after some errors (disk, memory).

        Raises:
            UnavailableError: nothing of the transaction is kept.
        """
        if not self.is_lost and not self._database.in_transaction:
            raise UnavailableError("the transaction is over: it was rolled back when a statement failed")

    def set_read_only(self, ticket: Ticket, read_only: bool) -> None:
        """Refuse (or allow again) every write on this connection."""
        self._run(f"PRAGMA query_only={int(read_only)}", (), ticket)

    def _run(self, text: str, params: tuple[SqlValue, ...], ticket: Ticket) -> QueryResult:
        values = bindable(params)
        result, used, is_first = _NOTHING, 0, True
        while text:
            shape = self._shape(text)
            if not shape.head:
                break
            given = len(values) - used
            if given < shape.marks_count:
                message = f"not enough args to execute query: want {shape.marks_count} got {given}"
                raise InvalidError(message)
            try:
                result = self._step(shape.head, values[used : used + shape.marks_count], ticket)
            except self._apsw.Error as error:
                ticket.locked = is_first and isinstance(error, self._apsw.BusyError) and not hasattr(error, "strike")
                raise self._translated(error) from None
            is_first = False
            used += shape.marks_count
            text = shape.rest
        return result

    def _step(self, statement: str, values: tuple[SqlValue, ...], ticket: Ticket) -> QueryResult:
        described: list[Any] = []

        def before(cursor: apsw.Cursor, _text: str, _values: object) -> bool:
            described.extend(cursor.get_description())
            if self._simulated is not None:
                self._ask_faults(self._simulated, cursor)
            return not ticket.cancelled

        cursor = self._database.cursor()
        cursor.exec_trace = before
        try:
            cursor.execute(statement, values)
            rows = list(islice(cursor, self._rows_max_count + 1))
        except UnicodeDecodeError as error:
            raise self._translated(error) from None
        finally:
            cursor.close(True)
        if len(rows) > self._rows_max_count:
            raise InvalidError(f"query gives more than {self._rows_max_count} rows")
        readers = [(index, read) for index, column in enumerate(described) if (read := from_column(column[1]))]
        if readers:
            rows = [_read_with(readers, row) for row in rows]
        return QueryResult(tuple(column[0] for column in described), tuple(rows))

    def _ask_faults(self, simulated: SimulatedSqlite, cursor: apsw.Cursor) -> None:
        takes_lock = not cursor.is_readonly and self._database.txn_state() != self._apsw.SQLITE_TXN_WRITE
        simulated.ask(self._name, writes=takes_lock, in_memory=not self._file)

    def _shape(self, text: str, *, fresh: bool = False) -> _Shape:
        known = None if fresh else self._shapes.get(text)
        if known is not None:
            return known
        found: list[tuple[str, int]] = []

        def stop(cursor: apsw.Cursor, statement: str, _values: object) -> bool:
            found.append((statement, cursor.bindings_count))
            return False

        cursor = self._database.cursor()
        cursor.exec_trace = stop
        try:
            # Null bindings: the statement is prepared, shown to `stop`, and never run.
            cursor.execute(text, self._apsw._null_bindings)  # noqa: SLF001 - apsw documents it for this use
        except self._apsw.ExecTraceAbort:
            pass
        except self._apsw.Error as error:
            raise self._translated(error) from None
        finally:
            cursor.close(True)
        if found:
            head, marks_count = found[0]
            shape = _Shape(head, marks_count, text[text.index(head) + len(head) :])
        else:  # only comments and blanks
            shape = _Shape("", 0, "")
        if len(self._shapes) >= _SHAPES_MAX_COUNT:
            self._shapes.clear()
        self._shapes[text] = shape
        return shape

    def _translated(self, error: Exception) -> LuaError:
        if isinstance(error, UnicodeDecodeError):
            return InvalidError("a text column holds bytes that are not UTF-8; store them as a blob")
        if isinstance(error, self._apsw.ExecTraceAbort):
            return error_from_code(self._apsw.SQLITE_INTERRUPT, "interrupted")
        return error_from_code(getattr(error, "extendedresult", getattr(error, "result", -1)), str(error))


_NOTHING = QueryResult()


def _read_with(readers: list[tuple[int, Any]], row: tuple[SqlValue, ...]) -> tuple[SqlValue, ...]:
    values = list(row)
    for index, read in readers:
        values[index] = read(values[index])
    return tuple(values)
