"""Files of a file-system entry, as serving wants them. Source: http/static."""

from __future__ import annotations

from collections.abc import Callable

from wippy_trio.core.errors import InvalidError, NotFoundError, PermissionDeniedError
from wippy_trio.http.files import FileInfo
from wippy_trio.storage.files import Filesystem, OpenMode
from wippy_trio.storage.files_handle import FileHandle, Whence

__all__ = ["StoredFiles"]


class _StoredFile:
    def __init__(self, handle: FileHandle) -> None:
        self._handle = handle

    async def seek(self, offset_bytes: int) -> None:
        await self._handle.seek(offset_bytes, Whence.SET)

    async def read(self, max_bytes: int) -> bytes:
        return await self._handle.read(max_bytes)

    async def aclose(self) -> None:
        await self._handle.close()


class StoredFiles:
    """A file system that is looked up at every use, so that a changed entry is served as it is now.

    Args:
        find: gives the file system.

    Every method raises `NotFoundError` for what does not exist or may not be seen.
    """

    def __init__(self, find: Callable[[], Filesystem]) -> None:
        self._find = find

    async def stat(self, path: str) -> FileInfo:
        """Facts of a file or directory."""
        try:
            info = await self._find().stat(path or ".")
        except (PermissionDeniedError, InvalidError) as problem:
            raise NotFoundError(str(problem)) from problem
        return FileInfo(info.size_bytes, info.modified_s * 10**9, info.is_dir)

    async def open(self, path: str) -> _StoredFile:
        """Open for reading; the caller closes."""
        try:
            return _StoredFile(await self._find().open(path, OpenMode.READ))
        except (PermissionDeniedError, InvalidError) as problem:
            raise NotFoundError(str(problem)) from problem

    async def list(self, path: str) -> list[str]:
        """Names in a directory."""
        try:
            return [entry.name for entry in await self._find().read_directory(path or ".")]
        except (PermissionDeniedError, InvalidError) as problem:
            raise NotFoundError(str(problem)) from problem
