"""The `fs` module: files of a volume. Source: docs lua/storage/filesystem.

Error kinds are the reference's: a file that cannot be opened is `NotFound` whatever the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar, runtime_checkable

from sandbox.errors import KINDS
from sandbox.values import Handle, as_bytes, as_text
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError
from wippy_trio.module import Call, Module, ModuleClass, Permission
from wippy_trio.storage.files import FileInfo, Filesystem, OpenMode, resolve_path
from wippy_trio.storage.files_handle import FileHandle, Scanner, Split, Whence

__all__ = ["MODULE", "ByteReader"]

T = TypeVar("T")
_COPY_CHUNK_BYTES = 64 * 1024
_MODES = {"r": OpenMode.READ, "w": OpenMode.WRITE, "wx": OpenMode.EXCLUSIVE, "a": OpenMode.APPEND}
_TOKENS_AT_ONCE_COUNT = 64

MODULE = Module("fs", classes={ModuleClass.STORAGE, ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="fs.lua")


@runtime_checkable
class ByteReader(Protocol):
    """What `writefile` copies from, besides a string: files here, streams of other modules."""

    async def read(self, size_bytes: int) -> bytes:
        """Up to `size_bytes`; empty at the end."""


@MODULE.immediate("fs.get", permission=Permission("fs.get", message="not allowed to access filesystem: {resource}"))
def get(call: Call, id: object) -> bool:
    """Look a volume up."""
    _volume(call, id)
    return True


@MODULE.waiting("fs.read")
async def read(call: Call, id: object, where: object, path: object) -> bytes:
    """A whole file."""
    volume, target = _volume(call, id), _resolved(path, where)
    handle = await _as("failed to open file", "NOT_FOUND", volume.open(target, OpenMode.READ))
    try:
        chunks: list[bytes] = []
        while chunk := await _as("failed to read file", "INTERNAL", handle.read(1 << 20)):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        await handle.close()


@MODULE.waiting("fs.write")
async def write(call: Call, id: object, where: object, path: object, data: object, mode: str) -> bool:
    """Write a file from a string or a reader."""
    volume, target = _volume(call, id), _resolved(path, where)
    if not isinstance(data, str | bytes | ByteReader):
        raise InvalidError("input does not implement io.Reader")
    handle = await _as("failed to open destination", "NOT_FOUND", volume.open(target, _MODES[mode]))
    try:
        if isinstance(data, str | bytes):
            await _as("copy failed", "INTERNAL", handle.write(as_bytes(data)))
        else:
            while chunk := await _as("copy failed", "INTERNAL", data.read(_COPY_CHUNK_BYTES)):
                await _as("copy failed", "INTERNAL", handle.write(chunk))
    finally:
        await handle.close()
    return True


@MODULE.waiting("fs.stat")
async def stat(call: Call, id: object, where: object, path: object) -> dict[str, object]:
    """Facts of a file."""
    return _shown(await _as("stat failed", "NOT_FOUND", _volume(call, id).stat(_resolved(path, where))))


@MODULE.waiting("fs.exists")
async def exists(call: Call, id: object, where: object, path: object) -> bool:
    """Whether there is something."""
    return await _volume(call, id).exists(_resolved(path, where))


@MODULE.waiting("fs.list")
async def list_directory(call: Call, id: object, where: object, path: object) -> list[dict[str, object]]:
    """Entries of a directory."""
    volume, target = _volume(call, id), _resolved(path, where)
    if not (await _as("failed to stat directory", "NOT_FOUND", volume.stat(target))).is_dir:
        raise InvalidError(f"not a directory: {as_text(path)}")
    entries = await _as("readdir failed", "INTERNAL", volume.read_directory(target))
    return [{"name": entry.name, "type": "directory" if entry.is_dir else "file"} for entry in entries]


@MODULE.waiting("fs.enter")
async def enter(call: Call, id: object, where: object, path: object) -> str:
    """The working directory after `chdir`."""
    target = _resolved(path, where)
    if not (await _as("failed to stat directory", "NOT_FOUND", _volume(call, id).stat(target))).is_dir:
        raise InvalidError(f"not a directory: {as_text(path)}")
    return target


@MODULE.waiting("fs.mkdir")
async def mkdir(call: Call, id: object, where: object, path: object) -> bool:
    """Make a directory."""
    try:
        await _volume(call, id).make_directory(_resolved(path, where))
    except AlreadyExistsError:
        raise AlreadyExistsError(f"path already exists: {as_text(path)}") from None
    except InvalidError:
        raise
    except LuaError as error:
        raise _again("mkdir failed", "INTERNAL", error) from error
    return True


@MODULE.waiting("fs.remove")
async def remove(call: Call, id: object, where: object, path: object) -> bool:
    """Remove a file or an empty directory."""
    try:
        await _volume(call, id).remove(_resolved(path, where))
    except InvalidError:
        raise
    except LuaError as error:
        raise _again("remove failed", "INTERNAL", error) from error
    return True


@MODULE.waiting("fs.open")
async def open_file(call: Call, id: object, where: object, path: object, mode: str) -> Handle:
    """Open a file; it is closed with the call or process at the latest."""
    volume, target = _volume(call, id), _resolved(path, where)
    handle = await _as("failed to open file", "NOT_FOUND", volume.open(target, _MODES[mode]))
    return call.handle("fs.File", handle, handle.close)


@MODULE.waiting("fs.file.read")
async def file_read(call: Call, file: object, size_bytes: int) -> bytes:
    """Some bytes; at the end an error with the text EOF."""
    data = await _as("read failed", "INTERNAL", _file(file).read(size_bytes))
    if not data:
        raise LuaError("EOF", kind=KINDS["NOT_FOUND"])
    return data


@MODULE.waiting("fs.file.write")
async def file_write(call: Call, file: object, data: object) -> bool:
    """Write bytes."""
    await _as("write failed", "INTERNAL", _file(file).write(as_bytes(data)))
    return True


@MODULE.waiting("fs.file.seek")
async def file_seek(call: Call, file: object, whence: str, offset_bytes: int) -> int:
    """Move."""
    return await _as("seek failed", "INTERNAL", _file(file).seek(offset_bytes, Whence[whence.upper()]))


@MODULE.waiting("fs.file.stat")
async def file_stat(call: Call, file: object) -> dict[str, object]:
    """Facts of an open file."""
    return _shown(await _as("stat failed", "INTERNAL", _file(file).stat()))


@MODULE.waiting("fs.file.sync")
async def file_sync(call: Call, file: object) -> bool:
    """Flush."""
    await _as("sync failed", "INTERNAL", _file(file).sync())
    return True


@MODULE.waiting("fs.file.close")
async def file_close(call: Call, file: object) -> bool:
    """Close."""
    closing = _file(file)
    call.drop(closing)
    await _as("close failed", "INTERNAL", closing.close())
    return True


@MODULE.immediate("fs.file.scanner")
def file_scanner(call: Call, file: object, split: str) -> Handle:
    """A scanner over an open file."""
    return call.handle("fs.Tokens", _file(file).scanner(Split(split)))


@MODULE.waiting("fs.scanner.next")
async def scanner_next(call: Call, scanner: object) -> list[bytes]:
    """The next tokens; none at the end."""
    if not isinstance(scanner, Scanner):
        raise InvalidError("Scanner expected")
    tokens = await _as("scanner", "INTERNAL", scanner.scan_many(_TOKENS_AT_ONCE_COUNT))
    if not tokens:
        call.drop(scanner)
    return tokens


def _volume(call: Call, id: object) -> Filesystem:
    return call.runtime.resources.get(as_text(id), Filesystem, "filesystem")


def _file(file: object) -> FileHandle:
    if not isinstance(file, FileHandle):
        raise InvalidError("file expected")
    return file


def _resolved(path: object, where: object) -> str:
    try:
        return resolve_path(as_text(path), as_text(where))
    except InvalidError as error:
        error.context = ("invalid path", *error.context)
        raise


async def _as(what: str, kind: str, work: Awaitable[T]) -> T:
    """Await `work`; its error gets the kind and the words of the reference."""
    try:
        return await work
    except LuaError as error:
        raise _again(what, kind, error) from error


def _again(what: str, kind: str, error: LuaError) -> LuaError:
    text = error.message.removeprefix(f"{what}: ")
    return LuaError(text, kind=KINDS[kind], retryable=False, context=(what,))


def _shown(info: FileInfo) -> dict[str, object]:
    return {
        "name": info.name,
        "size": info.size_bytes,
        "mode": info.mode,
        "modified": info.modified_s,
        "is_dir": info.is_dir,
        "type": "directory" if info.is_dir else "file",
    }
