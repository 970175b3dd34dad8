"""The blocking half of `history_sqlite.py`: tables and statements. One thread at a time. Source: ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from wippy_trio.core.errors import ConflictError, LuaError, NotFoundError, UnavailableError
from wippy_trio.workflows.history import (
    Change,
    Claimed,
    Closing,
    MessagesLeftError,
    NewRun,
    Pending,
    Posted,
    Record,
    RunInfo,
    RunQuery,
    Status,
)

if TYPE_CHECKING:
    import apsw

__all__ = ["SqliteStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (
  run_id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, name TEXT NOT NULL, entry TEXT NOT NULL, worker TEXT NOT NULL,
  pid TEXT NOT NULL, status TEXT NOT NULL, started_ns INTEGER NOT NULL, closed_ns INTEGER NOT NULL,
  length INTEGER NOT NULL, size_bytes INTEGER NOT NULL, first_run_id TEXT NOT NULL, next_run_id TEXT NOT NULL,
  parent_run_id TEXT NOT NULL, parent_seq INTEGER NOT NULL, attempt INTEGER NOT NULL,
  memo BLOB NOT NULL, search BLOB NOT NULL, outcome BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS workflows (workflow_id TEXT PRIMARY KEY, run_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
  run_id TEXT NOT NULL, number INTEGER NOT NULL, at_ns INTEGER NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (run_id, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
  run_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, due_ns INTEGER NOT NULL, since_ns INTEGER NOT NULL,
  attempts_count INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS posted (
  number INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, at_ns INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_status ON runs (status, started_ns);
CREATE INDEX IF NOT EXISTS runs_started ON runs (started_ns);
CREATE INDEX IF NOT EXISTS runs_closed ON runs (closed_ns) WHERE closed_ns > 0;
"""
_VERSION = "1"
_FIELDS = tuple(field.name for field in attrs.fields(RunInfo))
_COLUMNS = ", ".join(_FIELDS)
_INSERT = f"INSERT INTO runs ({_COLUMNS}) VALUES ({', '.join('?' * len(_FIELDS))})"
_PENDING = "seq, kind, due_ns, since_ns, attempts_count, data"


class SqliteStore:
    """An open file. A second one on the same file is refused: the lock is a transaction on a file beside it, which the
    operating system ends with the process.

    Args:
        path: the file, or `:memory:`.
        connect: opens a connection; SQLite's own way unless given.

    Raises:
        UnavailableError: it cannot be opened, is not ours, or another node has it.
    """

    def __init__(self, path: str, connect: Callable[[str], Any] | None = None) -> None:
        import apsw

        self._apsw: Any = apsw
        self._connect: Callable[[str], Any] = connect or apsw.Connection
        self._lock: apsw.Connection | None = None
        try:
            if path != ":memory:":
                self._lock = self._locked(path)
            self._db: Any = self._connect(path)
            self._db.set_busy_timeout(5_000)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000"):
                self._db.execute(f"PRAGMA {pragma}").fetchall()
            self._db.execute(_SCHEMA)
            self._check_version(path)
        except apsw.Error as problem:
            raise UnavailableError(f"workflows.database {path}: {problem}", retryable=False) from problem
        self._claimed: set[str] = set()

    def _locked(self, path: str) -> Any:
        lock: Any = None
        try:
            lock = self._connect(path + ".lock")
            lock.execute("BEGIN EXCLUSIVE").fetchall()
        except self._apsw.BusyError as problem:
            if lock is not None:
                lock.close()
            raise UnavailableError(f"workflows.database {path}: another node has it open", retryable=False) from problem
        return lock

    def _check_version(self, path: str) -> None:
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (_VERSION,))
        found = self._db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()[0]
        if found != _VERSION:
            raise UnavailableError(
                f"workflows.database {path} has format {found}; this version knows {_VERSION}", retryable=False
            )

    def close(self) -> None:
        """Close the file and free its lock."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    # writing -------------------------------------------------------------------------------------------------------
    def write(self, works: Sequence[Callable[[SqliteStore], None]]) -> list[LuaError | None]:
        """Do all of it in one transaction, durably; what each of them refused by itself.

        Raises:
            UnavailableError: nothing was written.
        """
        errors: list[LuaError | None] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for work in works:
                    try:
                        work(self)
                        errors.append(None)
                    except LuaError as refusal:  # a refusal comes before its work has written anything
                        errors.append(refusal)
                self._db.execute("COMMIT")
            except BaseException:
                if not self._db.get_autocommit():
                    self._db.execute("ROLLBACK")
                raise
        except self._apsw.Error as problem:
            message = f"the history of workflows cannot be written: {problem}"
            raise UnavailableError(message, retryable=False) from problem
        return errors

    def create(self, new: NewRun, *, successor: bool) -> None:
        """Insert a run; see `History.create`."""
        info = new.info
        if not successor:
            row = self._db.execute(
                "SELECT w.run_id, r.status FROM workflows w LEFT JOIN runs r ON r.run_id = w.run_id "
                "WHERE w.workflow_id = ?",
                (info.workflow_id,),
            ).fetchone()
            if row is not None and row[1] is None:
                row = None  # purged
            if (row[0] if row else "") != new.expected or (row and row[1] == Status.OPEN):
                raise ConflictError(f"workflow already started: {info.workflow_id}")
        size = sum(len(record.data) for record in new.records)
        counted = attrs.evolve(info, length=len(new.records), size_bytes=size)
        self._db.execute(_INSERT, attrs.astuple(counted))
        self._db.execute("INSERT OR REPLACE INTO workflows VALUES (?, ?)", (info.workflow_id, info.run_id))
        self._records(info.run_id, 0, new.records)
        self._add(info.run_id, new.pending)
        self._claimed.add(info.run_id)
        if new.closing is not None:
            self._close(info.run_id, new.closing)

    def _records(self, run_id: str, length: int, records: Sequence[Record]) -> None:
        self._db.executemany(
            "INSERT INTO records VALUES (?, ?, ?, ?)",
            [(run_id, length + at, record.at_ns, record.data) for at, record in enumerate(records, 1)],
        )

    def _add(self, run_id: str, pending: Sequence[Pending]) -> None:
        if pending:
            self._db.executemany(
                f"INSERT OR REPLACE INTO pending (run_id, {_PENDING}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(run_id, *attrs.astuple(item)) for item in pending],
            )

    def append(self, change: Change) -> None:
        """See `History.append`."""
        run_id, closing = change.run_id, change.closing
        if closing is not None and change.heed_left:
            left = {row[0] for row in self._db.execute("SELECT number FROM posted WHERE run_id = ?", (run_id,))}
            if left - set(change.taken):
                raise MessagesLeftError(f"messages are left for run {run_id}")
        size = sum(len(record.data) for record in change.records)
        self._db.execute(
            "UPDATE runs SET length = length + ?, size_bytes = size_bytes + ? "
            "WHERE run_id = ? AND length = ? AND status = 'open'",
            (len(change.records), size, run_id, change.expected_length),
        )
        if not self._db.changes():
            raise ConflictError(f"run {run_id} is not as expected (after {change.expected_length} records)")
        self._records(run_id, change.expected_length, change.records)
        if change.memo is not None:
            self._db.execute("UPDATE runs SET memo = ? WHERE run_id = ?", (change.memo, run_id))
        if change.search is not None:
            self._db.execute("UPDATE runs SET search = ? WHERE run_id = ?", (change.search, run_id))
        if change.taken:
            self._db.executemany("DELETE FROM posted WHERE number = ?", [(number,) for number in change.taken])
        if closing is None:
            if change.drop:
                numbers = [(run_id, seq) for seq in change.drop]
                self._db.executemany("DELETE FROM pending WHERE run_id = ? AND seq = ?", numbers)
            self._add(run_id, change.add)
            return
        self._close(run_id, closing)

    def _close(self, run_id: str, closing: Closing) -> None:
        self._db.execute("DELETE FROM pending WHERE run_id = ?", (run_id,))
        self._db.execute("DELETE FROM posted WHERE run_id = ?", (run_id,))
        following = closing.successor
        self._db.execute(
            "UPDATE runs SET status = ?, closed_ns = ?, outcome = ?, next_run_id = ? WHERE run_id = ?",
            (closing.status, closing.at_ns, closing.outcome, following.info.run_id if following else "", run_id),
        )
        self._claimed.discard(run_id)
        if following is not None:
            self.create(following, successor=True)

    def note(self, run_id: str, pending: Pending) -> None:
        """See `History.note`."""
        self._require_open(run_id)
        self._add(run_id, [pending])

    def _require_open(self, run_id: str) -> None:
        row = self._db.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None or row[0] != Status.OPEN:
            raise NotFoundError(f"workflow run not found: {run_id}")

    def post(self, run_id: str, data: bytes, at_ns: int) -> None:
        """See `History.post`."""
        self._require_open(run_id)
        self._db.execute("INSERT INTO posted (run_id, at_ns, data) VALUES (?, ?, ?)", (run_id, at_ns, data))

    def purge(self, closed_before_ns: int, limit: int) -> int:
        """See `History.purge`."""
        found = [
            (row[0],)
            for row in self._db.execute(
                "SELECT run_id FROM runs WHERE closed_ns > 0 AND closed_ns < ? LIMIT ?", (closed_before_ns, limit)
            )
        ]
        for table in ("records", "runs", "workflows"):
            self._db.executemany(f"DELETE FROM {table} WHERE run_id = ?", found)
        return len(found)

    # reading -------------------------------------------------------------------------------------------------------
    def load(self, run_id: str) -> list[Record]:
        """See `History.load`."""
        rows = self._db.execute("SELECT at_ns, data FROM records WHERE run_id = ? ORDER BY number", (run_id,))
        return [Record(at_ns, data) for at_ns, data in rows]

    def run(self, run_id: str) -> RunInfo | None:
        """See `History.run`."""
        return self._one(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,))

    def latest(self, workflow_id: str) -> RunInfo | None:
        """See `History.latest`."""
        text = f"SELECT {_COLUMNS} FROM runs WHERE run_id = (SELECT run_id FROM workflows WHERE workflow_id = ?)"
        return self._one(text, (workflow_id,))

    def _one(self, text: str, values: tuple[Any, ...]) -> RunInfo | None:
        row = self._db.execute(text, values).fetchone()
        return None if row is None else _info(row)

    def pending(self, run_id: str) -> list[Pending]:
        """See `History.pending`."""
        rows = self._db.execute(f"SELECT {_PENDING} FROM pending WHERE run_id = ? ORDER BY seq", (run_id,))
        return [Pending(*row) for row in rows]

    def claim(self, limit: int) -> list[Claimed]:
        """See `History.claim`."""
        found: dict[str, RunInfo] = {}
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM runs WHERE status = 'open' ORDER BY started_ns, run_id"):
            if row[0] not in self._claimed and len(found) < limit:
                found[row[0]] = _info(row)
        waits: dict[str, list[Pending]] = {run_id: [] for run_id in found}
        if found:
            for run_id, *rest in self._db.execute(f"SELECT run_id, {_PENDING} FROM pending ORDER BY run_id, seq"):
                if run_id in waits:
                    waits[run_id].append(Pending(*rest))
        self._claimed.update(found)
        return [Claimed(info, waits[run_id]) for run_id, info in found.items()]

    def posted(self, limit: int) -> list[Posted]:
        """See `History.posted`."""
        rows = self._db.execute("SELECT number, run_id, at_ns, data FROM posted ORDER BY number LIMIT ?", (limit,))
        return [Posted(*row) for row in rows]

    def find(self, query: RunQuery) -> list[RunInfo]:
        """See `History.find`."""
        where, values = ["1"], list[Any]()
        for field in ("workflow_id", "name", "status", "worker"):
            if wanted := getattr(query, field):
                where.append(f"{field} = ?")
                values.append(wanted)
        if query.before_ns:
            where.append("started_ns < ?")
            values.append(query.before_ns)
        text = f"SELECT {_COLUMNS} FROM runs WHERE {' AND '.join(where)} ORDER BY started_ns DESC, run_id DESC LIMIT ?"
        return [_info(row) for row in self._db.execute(text, (*values, query.limit))]


def _info(row: Sequence[Any]) -> RunInfo:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["status"] = Status(fields["status"])
    return RunInfo(**fields)
