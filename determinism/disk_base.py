"""What a simulated disk reads of the real one: some folders, each file once, nothing machine-dependent.

Source: ours (architecture, section 2).
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from determinism.seams import Disk

__all__ = ["BaseView", "Fact"]

_DIRECTORY_MODE: Final = 0o755
_FILE_MODE, _PROGRAM_MODE = 0o644, 0o755
_FILE_MAX_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Fact:
    """What stands at a path of the base: a directory, a file, or a link to `target`."""

    is_dir: bool
    mode: int
    target: str = ""


class BaseView:
    """The folders `roots` of `base`, as they were when first looked at.

    Args:
        base: the disk to read; None where there is nothing but the (empty) roots themselves.
        roots: absolute paths of folders. Nothing else can be read.

    Share one between the worlds of a process: every file is read once, and all worlds see the same. Permission bits
    are evened out (0644, 0755), so that two machines give one picture.
    """

    def __init__(self, base: Disk | None, roots: Sequence[str] = ()) -> None:
        self._base = base
        given = [posixpath.normpath(root) for root in roots]
        if base is not None:
            given += [base.realpath(root) for root in given]
        self._roots = tuple(dict.fromkeys(given))
        # The folders above the roots exist too, with nothing in them but the way down.
        self._above: dict[str, set[str]] = {}
        for root in self._roots:
            path = root
            while path != "/":
                path, name = posixpath.split(path)
                self._above.setdefault(path, set()).add(name)
        self._facts: dict[str, Fact | None] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._contents: dict[str, bytes] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is no base behind it."""
        return self._base is None

    @property
    def home(self) -> str:
        """Where relative paths begin: the first root."""
        return self._roots[0] if self._roots else "/"

    def is_inside(self, path: str) -> bool:
        """Whether a normal path is a root or below one."""
        return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in self._roots)

    def relative(self, path: str) -> str:
        """A normal path as seen from the deepest root above it; as it is where none is."""
        inside = [root for root in self._roots if path == root or path.startswith(f"{root.rstrip('/')}/")]
        return posixpath.relpath(path, max(inside, key=len)) if inside else path

    def look(self, path: str) -> Fact | None:
        """What stands at a normal path whose directories are real; None where nothing does."""
        if path not in self._facts:
            self._facts[path] = self._look(path)
        return self._facts[path]

    def names(self, path: str) -> tuple[str, ...]:
        """What a directory holds, by name."""
        if path not in self._names:
            found = set(self._above.get(path, ()))
            if self._base is not None and self.is_inside(path):
                found.update(self._base.list(path))
            self._names[path] = tuple(sorted(found))
        return self._names[path]

    def content(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: it cannot be read, or holds more than 256 MiB (`EFBIG`).
        """
        if path not in self._contents:
            assert self._base is not None
            with self._base.open(path, "rb") as file:
                data = file.read(_FILE_MAX_BYTES + 1)
            if len(data) > _FILE_MAX_BYTES:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
            self._contents[path] = data
        return self._contents[path]

    def _look(self, path: str) -> Fact | None:
        if self._base is not None and self.is_inside(path):
            try:
                real = self._base.realpath(path)
                if real != path:
                    return Fact(False, 0o777, real)
                found = self._base.stat(path)
            except OSError:
                return None
            if found.is_dir:
                return Fact(True, _DIRECTORY_MODE)
            return Fact(False, _PROGRAM_MODE if found.mode & 0o100 else _FILE_MODE)
        return Fact(True, _DIRECTORY_MODE) if path in self._above or path in self._roots else None
