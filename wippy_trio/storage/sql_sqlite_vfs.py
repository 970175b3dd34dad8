"""A VFS of SQLite over a simulated disk: databases, journals and write-ahead logs are its files.

It has no shared memory, so that a write-ahead log needs exclusive locking (`sql_sqlite_simulated` sees to it). Locks
are kept here, errors of the disk become SQLite's. Source: ours (architecture, section 2).
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import apsw

from determinism.disk import SimulatedDisk
from determinism.disk_file import SimulatedFile
from determinism.seams import Clock, Entropy

__all__ = ["SimulatedVfs", "coded", "io_error"]

T = TypeVar("T")
_UNIX_EPOCH_MS: Final = 210_866_760_000_000  # in Julian milliseconds
_DAY_MS: Final = 86_400_000
_SHARED, _RESERVED, _PENDING = 1, 2, 3
_POWERSAFE_OVERWRITE: Final = 0x1000
_SECTOR_BYTES: Final = 4096


class SimulatedVfs(apsw.VFS):
    """The disk as SQLite sees it.

    Args:
        name: of the VFS, unique in the process.
        disk: where the files are.
        clock: for `now`.
        entropy: seeds SQLite's generator where this is the default VFS.
    """

    def __init__(self, name: str, disk: SimulatedDisk, clock: Clock, entropy: Entropy) -> None:
        self.name = name
        self.files: list[_File] = []
        self.locks: dict[str, dict[_File, int]] = {}
        self._disk = disk
        self._clock = clock
        self._entropy = entropy
        super().__init__(name, "", iVersion=2)

    def excepthook(self, *problem: object) -> bool:
        """What cannot be reported is not: SQLite goes on as it would after an error of the system."""
        del problem
        return True

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - SQLite's names here and below
        """A relative path is the world's, which begins at the first of its folders."""
        return posixpath.normpath(posixpath.join(self._disk.home, name))

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        """Whether a file is there (and, asked for, has something in it)."""
        if not self._disk.exists(pathname):
            return False
        return flags != apsw.SQLITE_ACCESS_EXISTS or self._disk.stat(pathname).size_bytes > 0

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Remove a file."""
        try:
            self._disk.remove(filename)
        except FileNotFoundError:
            raise io_error(apsw.SQLITE_IOERR_DELETE_NOENT) from None
        except OSError:
            raise io_error(apsw.SQLITE_IOERR_DELETE) from None
        if syncdir:
            self._disk.sync_names()

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> Any:  # noqa: N802
        """Open or make a file; one without a name is temporary, and no part of the disk."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if not path:
            flags[1] = flags[0]
            return _Temporary()
        asked = flags[0]
        try:
            file = self._open(path, asked)
        except OSError as problem:
            if not asked & apsw.SQLITE_OPEN_READWRITE or problem.errno not in {errno.EACCES, errno.EPERM}:
                raise coded(apsw.CantOpenError, apsw.SQLITE_CANTOPEN, "unable to open database file") from None
            try:
                file = self._disk.open_file(path, "rb")  # as the system's VFS does
            except OSError:
                raise coded(apsw.CantOpenError, apsw.SQLITE_CANTOPEN, "unable to open database file") from None
            asked = asked & ~(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE) | apsw.SQLITE_OPEN_READONLY
        flags[1] = asked
        made = _File(self, path, file, deletes=bool(asked & apsw.SQLITE_OPEN_DELETEONCLOSE))
        self.files.append(made)
        return made

    def _open(self, path: str, asked: int) -> SimulatedFile:
        if not asked & apsw.SQLITE_OPEN_READWRITE:
            return self._disk.open_file(path, "rb")
        if asked & apsw.SQLITE_OPEN_EXCLUSIVE:
            return self._disk.open_file(path, "x+b")
        if asked & apsw.SQLITE_OPEN_CREATE and not self._disk.exists(path):
            return self._disk.open_file(path, "w+b")
        return self._disk.open_file(path, "r+b")

    def xRandomness(self, numbytes: int) -> bytes:  # noqa: N802
        """Bytes of this world's seed."""
        return self._entropy.random_bytes(numbytes)

    def xCurrentTimeInt64(self) -> int:  # noqa: N802
        """This world's time, in Julian milliseconds."""
        return self._clock.wall_ns() // 1_000_000 + _UNIX_EPOCH_MS

    def xCurrentTime(self) -> float:  # noqa: N802
        """This world's time, in Julian days."""
        return self.xCurrentTimeInt64() / _DAY_MS

    def xSleep(self, microseconds: int) -> int:  # noqa: N802
        """Nobody waits inside SQLite: callers try again, in virtual time."""
        return microseconds

    def forget(self, file: _File) -> None:
        """A file is closed."""
        if file in self.files:
            self.files.remove(file)
        self.locks.get(file.path, {}).pop(file, None)


class _File:
    """An open file of the disk. Its methods are those of `apsw.VFSFile`."""

    def __init__(self, vfs: SimulatedVfs, path: str, file: SimulatedFile, *, deletes: bool) -> None:
        self.path = path
        self.is_abandoned = False
        self._vfs = vfs
        self._file = file
        self._deletes = deletes

    def belongs_to(self, database: str) -> bool:
        """Whether it is a database's file or one beside it."""
        return self.path in {database, f"{database}-wal", f"{database}-journal"}

    def excepthook(self, *problem: object) -> bool:
        """See `SimulatedVfs.excepthook`."""
        del problem
        return True

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's names here and below
        """Bytes, fewer at the end."""
        return self._done(apsw.SQLITE_IOERR_READ, self._file.read_at, offset, amount)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        """Write all of it."""
        self._done(apsw.SQLITE_IOERR_WRITE, self._file.write_at, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Set the size."""
        self._done(apsw.SQLITE_IOERR_TRUNCATE, self._file.truncate_at, newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make it durable."""
        del flags
        self._done(apsw.SQLITE_IOERR_FSYNC, self._file.sync)

    def xFileSize(self) -> int:  # noqa: N802
        """The size."""
        return self._done(apsw.SQLITE_IOERR_FSTAT, lambda: self._file.size_bytes)

    def xClose(self) -> None:  # noqa: N802
        """Close it; locks go with it."""
        self._vfs.forget(self)
        self._file.close()
        if self._deletes and not self.is_abandoned:
            self._vfs.xDelete(self.path, False)

    def xLock(self, level: int) -> None:  # noqa: N802
        """Take a lock, or raise `BusyError` where another connection's stands against it."""
        locks = self._vfs.locks.setdefault(self.path, {})
        own = locks.get(self, 0)
        highest = max((held for file, held in locks.items() if file is not self), default=0)
        if own >= level:
            return
        if level == _SHARED:
            refused = highest >= _PENDING
        elif level == _RESERVED:
            refused = highest >= _RESERVED
        else:
            refused = highest >= _SHARED
            if refused and highest < _RESERVED and own >= _SHARED:
                locks[self] = _PENDING  # no new readers, until those that are there have gone
        if refused:
            raise coded(apsw.BusyError, apsw.SQLITE_BUSY, "database is locked")
        locks[self] = level

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """Lower a lock."""
        locks = self._vfs.locks.setdefault(self.path, {})
        if level:
            locks[self] = level
        else:
            locks.pop(self, None)

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        """Whether anyone is about to write."""
        return any(held >= _RESERVED for held in self._vfs.locks.get(self.path, {}).values())

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        """As the system's VFS tells: a write harms nothing beside it."""
        return _POWERSAFE_OVERWRITE

    def xSectorSize(self) -> int:  # noqa: N802
        """As the system's VFS tells."""
        return _SECTOR_BYTES

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802
        """Nothing special is understood."""
        del op, ptr
        return False

    def _done(self, code: int, work: Callable[..., T], *arguments: object) -> T:
        if self.is_abandoned:
            raise io_error(code)
        try:
            return work(*arguments)
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                raise coded(apsw.FullError, apsw.SQLITE_FULL, "database or disk is full") from None
            raise io_error(code) from None


class _Temporary:
    """A file without a name: bytes of this process."""

    def __init__(self) -> None:
        self._data = bytearray()

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's names here and below
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if len(self._data) < offset:
            self._data.extend(bytes(offset - len(self._data)))
        self._data[offset : offset + len(data)] = data

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        del self._data[newsize:]

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._data)

    def xClose(self) -> None:  # noqa: N802
        self._data.clear()

    def xSectorSize(self) -> int:  # noqa: N802
        return _SECTOR_BYTES

    def _nothing(self, *arguments: object) -> int:
        del arguments
        return 0

    xSync = xLock = xUnlock = xCheckReservedLock = xDeviceCharacteristics = xFileControl = _nothing  # noqa: N815


def coded(kind: type[apsw.Error], code: int, message: str) -> apsw.Error:
    """An error as SQLite would raise it, with its (extended) result code."""
    problem = kind(message)
    cast(Any, problem).result, cast(Any, problem).extendedresult = code & 0xFF, code
    return problem


def io_error(code: int) -> apsw.Error:
    """SQLITE_IOERR or one of its extensions."""
    return coded(apsw.IOError, code, "disk I/O error")
