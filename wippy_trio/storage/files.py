"""A directory as a file system that nothing leaves: no `..`, no symbolic link out of it.

Paths are given relative to the root (`a/b.txt`) or absolute within it (`/a/b.txt`). Everything that touches the disk
runs in worker threads, in a lane of its own. Source: docs system/filesystem, lua/storage/filesystem.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from enum import Enum
from typing import ParamSpec, TypeVar

import attrs

from determinism.seams import Disk, Environment, FileStat
from wippy_trio.core.errors import (
    AlreadyExistsError,
    InvalidError,
    LuaError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.files_handle import FileHandle

__all__ = ["DirEntry", "FileInfo", "Filesystem", "OpenMode", "resolve_path"]

P = ParamSpec("P")
T = TypeVar("T")

_DIRECTORY_BIT = 1 << 31  # the reference's mode number has it set for directories
_READ, _WRITE, _ENTER = 0o400, 0o200, 0o100
_FILE_MODE, _DIRECTORY_MODE = 0o644, 0o755
_READ_CHUNK_BYTES = 1 << 20


class OpenMode(Enum):
    """How a file is opened; the value is the disk's mode."""

    READ = "rb"
    WRITE = "wb"
    EXCLUSIVE = "xb"
    APPEND = "ab"


@attrs.frozen(slots=True)
class FileInfo:
    """Facts of a file: `mode` as the reference numbers it (permission bits, bit 31 for directories)."""

    name: str
    size_bytes: int
    mode: int
    modified_s: int
    is_dir: bool


@attrs.frozen(slots=True)
class DirEntry:
    """A name in a directory. A symbolic link counts as a file."""

    name: str
    is_dir: bool


def resolve_path(path: str, working_directory: str = ".") -> str:
    """`path` relative to the root, cleaned: `.` is the root itself.

    A leading slash means the root, anything else is relative to `working_directory` (itself such a result).

    Raises:
        InvalidError: a NUL character, or a way out of the root.
    """
    if "\0" in path:
        raise InvalidError("path contains null byte")
    joined = path.lstrip("/") if path.startswith("/") else posixpath.join(working_directory, path)
    cleaned = posixpath.normpath(joined or ".").lstrip("/") or "."
    if cleaned == ".." or cleaned.startswith(("../", "..\\")):
        raise InvalidError("path traversal not allowed")
    return cleaned


class Filesystem:
    """The directory `root`.

    Paths are results of `resolve_path`. Every method may raise `PermissionDeniedError` (mode, or a symbolic link out
    of the root), `NotFoundError`, `StorageError`, and `UnavailableError` once closed.

    Args:
        environment: disk and threads.
        root: absolute path of the directory.
        mode: permission bits; the owner's bits say what may be done, and new files get no others. Where all may read,
            all may enter too.
        lane: the thread lane.
    """

    def __init__(self, environment: Environment, root: str, *, mode: int = 0o755, lane: str = "fs") -> None:
        everyone_reads, nobody_enters = mode & 0o444 == 0o444, mode & 0o111 == 0
        self._mode = mode | 0o111 if everyone_reads and nobody_enters else mode
        self._environment = environment
        self._disk: Disk = environment.disk
        self._root = root
        self._lane = lane
        self._closed = False

    @property
    def root(self) -> str:
        """The directory on the machine."""
        return self._root

    async def open_root(self, *, auto_init: bool = False) -> None:
        """Make sure that the root is there, making it when `auto_init`.

        Raises:
            NotFoundError: no such directory.
            StorageError: no directory, or it cannot be made.
        """
        await self._threaded(self._open_root, auto_init)

    async def open(self, path: str, mode: OpenMode) -> FileHandle:
        """Open a file; the caller closes it.

        Raises:
            AlreadyExistsError: EXCLUSIVE and the file exists.
        """
        return await self._threaded(self._open, path, mode)

    async def read_file(self, path: str) -> bytes:
        """The whole file."""
        return await self._threaded(self._read_file, path)

    async def write_file(self, path: str, data: bytes, mode: OpenMode = OpenMode.WRITE) -> None:
        """Write, append, or make a file with `data`. Raises as `open`."""
        await self._threaded(self._write_file, path, data, mode)

    async def stat(self, path: str) -> FileInfo:
        """Facts of the file or directory, behind symbolic links."""
        return await self._threaded(self._stat, path)

    async def exists(self, path: str) -> bool:
        """Whether there is something (that may be looked at)."""
        try:
            await self.stat(path)
        except LuaError:
            return False
        return True

    async def read_directory(self, path: str) -> list[DirEntry]:
        """Entries by name.

        Raises:
            InvalidError: no directory.
        """
        return await self._threaded(self._read_directory, path)

    async def make_directory(self, path: str) -> None:
        """Make one directory level.

        Raises:
            AlreadyExistsError: something is there.
        """
        await self._threaded(self._make_directory, path)

    async def remove(self, path: str) -> None:
        """Remove a file, a symbolic link, or an empty directory.

        Raises:
            InvalidError: a directory that is not empty.
        """
        await self._threaded(self._remove, path)

    async def rename(self, source: str, target: str) -> None:
        """Rename or move within the root."""
        await self._threaded(self._rename, source, target)

    def close_now(self) -> None:
        """Refuse everything from now on; open handles stay usable."""
        self._closed = True

    # ---- in worker threads from here on

    async def _threaded(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise UnavailableError("filesystem is closed", retryable=False)
        return await self._environment.threads.run(lambda: _translating(work, *args, **kwargs), lane=self._lane)

    def _open_root(self, auto_init: bool) -> None:
        if auto_init:
            self._disk.mkdir(self._root, self._mode, parents=True)
        if not self._disk.stat(self._root).is_dir:
            raise StorageError(f"not a directory: {self._root}")

    def _open(self, path: str, mode: OpenMode) -> FileHandle:
        self._require("open", path, _READ if mode is OpenMode.READ else _WRITE)
        real = self._inside(path)
        is_new = mode is not OpenMode.READ and not self._disk.exists(real)
        file = self._disk.open(real, mode.value)
        if is_new and self._mode & _FILE_MODE != _FILE_MODE:
            self._disk.chmod(real, _FILE_MODE & self._mode)
        return FileHandle(self._environment, file, lambda: self._info(path, self._disk.stat(real)), self._lane)

    def _read_file(self, path: str) -> bytes:
        self._require("open", path, _READ)
        with self._disk.open(self._inside(path), "rb") as file:
            return b"".join(iter(lambda: file.read(_READ_CHUNK_BYTES), b""))

    def _write_file(self, path: str, data: bytes, mode: OpenMode) -> None:
        handle = self._open(path, mode)
        try:
            handle.write_blocking(data)
        finally:
            handle.close_blocking()

    def _stat(self, path: str) -> FileInfo:
        self._require("stat", path, _READ)
        return self._info(path, self._disk.stat(self._inside(path)))

    def _read_directory(self, path: str) -> list[DirEntry]:
        self._require("readdir", path, _READ | _ENTER)
        real = self._inside(path)
        if not self._disk.stat(real).is_dir:
            raise InvalidError(f"not a directory: {path}")
        return [DirEntry(name, self._is_real_directory(f"{real}/{name}")) for name in self._disk.list(real)]

    def _is_real_directory(self, real: str) -> bool:
        try:
            return self._disk.stat(real).is_dir and self._disk.realpath(real) == real
        except OSError:  # a dangling link, or gone meanwhile
            return False

    def _make_directory(self, path: str) -> None:
        self._require("mkdir", path, _WRITE | _ENTER)
        self._disk.mkdir(self._inside(path), _DIRECTORY_MODE & self._mode)

    def _remove(self, path: str) -> None:
        self._require("remove", path, _WRITE)
        real = self._inside(path, follow=False)
        if not self._is_real_directory(real):
            self._disk.remove(real)
            return
        if self._disk.list(real):
            raise InvalidError(f"directory not empty: {path}")
        self._disk.rmdir(real)

    def _rename(self, source: str, target: str) -> None:
        self._require("rename", source, _WRITE)
        self._disk.rename(self._inside(source, follow=False), self._inside(target, follow=False))

    def _require(self, operation: str, path: str, bits: int) -> None:
        if self._mode & bits != bits:
            raise PermissionDeniedError(f"{operation} {path}: permission denied by the filesystem's mode")

    def _inside(self, path: str, *, follow: bool = True) -> str:
        """The machine's path for `path`, links resolved; the last one only when `follow`.

        Between this look and the use of the path another program could put a link in its place; an app cannot.
        """
        root = self._disk.realpath(self._root)
        parent, name = posixpath.split(path)
        if follow or name in {"", ".", ".."}:
            real = self._disk.realpath(posixpath.join(root, path))
        else:
            real = posixpath.join(self._disk.realpath(posixpath.join(root, parent)), name)
        if real != root and not real.startswith(f"{root.rstrip('/')}/"):
            raise PermissionDeniedError(f"{path}: path escapes from the filesystem's root")
        return real

    @staticmethod
    def _info(path: str, found: FileStat) -> FileInfo:
        mode = found.mode | (_DIRECTORY_BIT if found.is_dir else 0)
        name = posixpath.basename(path) or "."
        return FileInfo(name, found.size_bytes, mode, found.modified_ns // 1_000_000_000, found.is_dir)


def _translating(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return work(*args, **kwargs)
    except FileNotFoundError as error:
        raise NotFoundError(_text(error)) from None
    except FileExistsError as error:
        raise AlreadyExistsError(_text(error)) from None
    except PermissionError as error:
        raise PermissionDeniedError(_text(error)) from None
    except OSError as error:
        raise StorageError(_text(error)) from None


def _text(error: OSError) -> str:
    """The system's words without the machine's path, which is none of the app's business."""
    return (error.strerror or str(error)).lower()
