"""SQLite in a simulated world: its files on the simulated disk, its time and randomness from the world's seeds.

Every simulated disk has a VFS of its own, with a name of its own, from the first database that opens there to the last
that closes. A database with one connection keeps the index of its write-ahead log to itself, which SQLite allows with
exclusive locking; one that gets a second connection leaves the log for a rollback journal, where locks do the same.
Source: ours (architecture, section 2).
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, Final

import apsw

from determinism.disk import SimulatedDisk
from determinism.seams import Environment, Strike
from wippy_trio.storage.sql_sqlite_vfs import SimulatedVfs, coded, io_error

__all__ = ["SimulatedSqlite", "simulated_sqlite"]

_ATTACHED: Final = "sqlite"
_NUMBERS: Final = itertools.count(1)
_CHECKPOINT_PAGES: Final = 1000  # SQLite's default
_SIGNED: Final = 1 << 63
_BLOB_MAX_BYTES: Final = 1_000_000_000  # SQLite's own limit


def simulated_sqlite(environment: Environment) -> SimulatedSqlite | None:
    """The way to SQLite for an environment whose disk is simulated; None for any other.

    Whoever opens a database with it calls `release` once that is closed.
    """
    disk = environment.disk
    if not isinstance(disk, SimulatedDisk):
        return None
    found = disk.attached.get(_ATTACHED)
    if not isinstance(found, SimulatedSqlite):
        found = disk.attached[_ATTACHED] = SimulatedSqlite(disk, environment)
    found.users_count += 1
    return found


class SimulatedSqlite:
    """SQLite in one simulated world.

    Args:
        disk: where the files are.
        environment: clock, entropy and faults.
    """

    def __init__(self, disk: SimulatedDisk, environment: Environment) -> None:
        self.disk = disk
        self.users_count = 0
        self._environment = environment
        self._entropy = environment.entropy.fork("sqlite")
        self._vfs = SimulatedVfs(f"simulated-{next(_NUMBERS)}", disk, environment.clock, self._entropy.fork("vfs"))
        self._seed_generator()
        self._connections_count = 0
        self._connections: dict[str, list[apsw.Connection]] = {}

    @property
    def name(self) -> str:
        """Of the VFS, as SQLite knows it."""
        return self._vfs.name

    def connect(self, path: str, flags: int | None = None) -> apsw.Connection:
        """A connection to a file of the simulated disk, or to `:memory:`; its `random()` and `now` are the world's.

        Raises:
            apsw.Error: it cannot be opened; `BusyError`, where the database's only connection is in a transaction.
            OSError: the disk refused.
        """
        if path.startswith("file:") and "vfs=" in path:
            raise coded(apsw.CantOpenError, apsw.SQLITE_CANTOPEN, "a simulated database cannot choose its VFS")
        given = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if flags is None else flags
        made = apsw.Connection(path, flags=given, vfs=self.name)
        self._override_random(made)
        made.set_wal_hook(_put_away)
        name = made.filename
        if not name:  # in memory
            return made
        others = self._connections.setdefault(name, [])
        others[:] = [other for other in others if _is_open(other)]
        if any(other.in_transaction for other in others):
            made.close()
            raise coded(apsw.BusyError, apsw.SQLITE_BUSY, "database is locked")
        if others:
            _leave_log(others[0])
        else:
            # It must stand before the first look at the file: later the index of the log would be in shared memory.
            made.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        others.append(made)
        return made

    def close(self, connection: apsw.Connection, name: str, *, is_lost: bool) -> None:
        """Close a connection to the file `name`; a lost one without a further word to the disk.

        What goes wrong meanwhile is as good as not having happened, for SQLite does not tell either: the write-ahead
        log stays, and is read by the next one.
        """
        if is_lost:
            for file in self._vfs.files:
                if file.belongs_to(name):
                    file.is_abandoned = True
        with contextlib.suppress(apsw.Error):
            connection.close(force=True)

    def ask(self, where: str, *, writes: bool, in_memory: bool) -> None:
        """Before a statement: let the faults strike it.

        Args:
            where: the entry's id.
            writes: it is one that takes the write lock.
            in_memory: no file stands behind the database, so that errors of the disk are asked about here.

        Raises:
            apsw.Error: as SQLite would raise it.
        """
        ask = self._environment.faults.strike
        if writes and (strike := ask("sql_busy", where)) is not None:
            raise _struck(strike, coded(apsw.BusyError, apsw.SQLITE_BUSY, "database is locked"))
        if not in_memory:
            return
        if (strike := ask("disk_io_error", where)) is not None:
            raise _struck(strike, io_error(apsw.SQLITE_IOERR))
        if writes and (strike := ask("disk_full", where)) is not None:
            raise _struck(strike, coded(apsw.FullError, apsw.SQLITE_FULL, "database or disk is full"))

    def release(self) -> None:
        """A database is closed; with the last one the VFS goes."""
        self.users_count -= 1
        if self.users_count <= 0:
            self.disk.attached.pop(_ATTACHED, None)
            self._vfs.unregister()

    def _seed_generator(self) -> None:
        """Have SQLite's own generator (salts, names of temporary files) begin anew, from this world's seed.

        There is one in the process, seeded by the VFS that is the default one when it is first used.
        """
        before = apsw.vfs_names()[0]
        apsw.set_default_vfs(self.name)
        try:
            apsw.randomness(0)
            apsw.randomness(1)
        finally:
            apsw.set_default_vfs(before)

    def _override_random(self, connection: apsw.Connection) -> None:
        """Give the functions `random` and `randomblob` draws of this world."""
        self._connections_count += 1
        entropy = self._entropy.fork(f"random {self._connections_count}")

        def random() -> int:
            return int.from_bytes(entropy.random_bytes(8), "little") - _SIGNED

        def blob(count: object) -> bytes:
            wanted = int(count) if isinstance(count, int | float) else 1
            if wanted > _BLOB_MAX_BYTES:
                raise apsw.TooBigError("string or blob too big")
            return entropy.random_bytes(max(wanted, 1))

        untyped: Any = connection
        untyped.create_scalar_function("random", random, 0)
        untyped.create_scalar_function("randomblob", blob, 1)


def _struck(strike: Strike, problem: apsw.Error) -> apsw.Error:
    """An error that says by which fault it came, so that nobody tries again as for a lock that will go."""
    problem.strike = strike  # type: ignore[attr-defined]
    return problem


def _is_open(connection: apsw.Connection) -> bool:
    try:
        return connection.filename is not None
    except apsw.ConnectionClosedError:
        return False


def _put_away(connection: apsw.Connection, schema: str, pages_count: int) -> int:
    """SQLite's own automatic checkpoint, whose errors are nobody's; out of the original a Python error would come."""
    if pages_count >= _CHECKPOINT_PAGES:
        with contextlib.suppress(apsw.Error):
            connection.wal_checkpoint(schema, apsw.SQLITE_CHECKPOINT_PASSIVE)
    return apsw.SQLITE_OK


def _leave_log(connection: apsw.Connection) -> None:
    """Have the connection that was alone so far make room for others."""
    connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    connection.execute("PRAGMA locking_mode=NORMAL").fetchall()
    connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # the lock goes at the next look
