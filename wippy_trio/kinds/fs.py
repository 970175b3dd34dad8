"""Kind fs.directory. Source: docs system/filesystem."""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime
from wippy_trio.storage.files import Filesystem

__all__ = ["KINDS"]

_MODE = 0o755


def _directory(entry: Entry) -> str:
    directory = entry.data.get("directory")
    if not isinstance(directory, str) or not directory:
        raise InvalidError("directory path is required")
    return directory


def _mode(entry: Entry) -> int:
    """Permission bits: the octal text of a number, or the number itself."""
    given = entry.data.get("mode")
    if given in (None, ""):
        return _MODE
    try:
        mode = int(given, 8) if isinstance(given, str) else int(given)
    except (TypeError, ValueError):
        raise InvalidError("invalid file mode format") from None
    if not 0 <= mode <= 0o7777:
        raise InvalidError("invalid file mode format")
    return mode


def _root(entry: Entry, runtime: Runtime) -> str:
    """Where the directory is: absolute, below the module that the entry came with, or below the project."""
    directory = _directory(entry)
    roots = runtime.extras.get("module_roots") or {}
    module_root = roots.get(str(entry.meta.get("module") or ""))
    base = module_root if module_root and _base(entry) != "project" else runtime.config.project_dir
    return runtime.environment.disk.realpath(posixpath.join(base, directory))


def _base(entry: Entry) -> str:
    base = entry.data.get("base") or ""
    if base not in {"", "project", "module"}:
        raise InvalidError("invalid directory base")
    return str(base)


def check_directory(entry: Entry) -> None:
    """Refuse an entry without a directory, or with a bad mode or base."""
    _directory(entry)
    _mode(entry)
    _base(entry)


@asynccontextmanager
async def open_directory(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A volume over a directory."""
    files = Filesystem(runtime.environment, _root(entry, runtime), mode=_mode(entry), lane=f"fs:{entry.id}")
    await files.open_root(auto_init=entry.data.get("auto_init") is True)
    try:
        with runtime.resources.offer(entry.id, files):
            yield
    finally:
        files.close_now()


KINDS = (Kind("fs.directory", open_directory, check=check_directory),)
