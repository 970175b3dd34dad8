"""Files and directories of a simulated disk: their bytes, what of these a crash could take, and open handles.

Source: ours (architecture, section 2).
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from determinism.seams import Entropy

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["SECTOR_BYTES", "Content", "Directory", "Link", "Node", "SimulatedFile", "failure"]

#: What a disk writes whole or not at all.
SECTOR_BYTES: Final = 512
#: Unsynced changes of one file that are remembered; beyond it the oldest are as good as written back.
_CHANGES_MAX_COUNT: Final = 4_096
_FILE_MODE: Final = 0o644


def failure(number: int, path: str) -> OSError:
    """The `OSError` (or its subclass) of an error number, with the system's words."""
    return OSError(number, os.strerror(number), path)


class _Change(NamedTuple):
    """One unsynced write or truncation: enough to take it back, and to make it again in part.

    Attributes:
        offset: where the bytes begin.
        old: what stood there.
        old_size: the file's size before.
        new: the bytes written; None for a truncation.
        new_size: the size a truncation set.
    """

    offset: int
    old: bytes
    old_size: int
    new: bytes | None
    new_size: int


class Content:
    """The bytes of one file (an inode, so to speak): as written, and what is not yet synced.

    Args:
        data: what it holds, durably; shared until the first write.
        mode: permission bits.
        modified_ns: Unix nanoseconds.
    """

    __slots__ = ("_changes", "_data", "_loader", "generation", "mode", "modified_ns")

    def __init__(
        self,
        data: bytes = b"",
        mode: int = _FILE_MODE,
        modified_ns: int = 0,
        loader: Callable[[], bytes] | None = None,
    ) -> None:
        self._data: bytes | bytearray = data
        self._loader = loader
        self._changes: deque[_Change] = deque(maxlen=_CHANGES_MAX_COUNT)
        self.mode = mode
        self.modified_ns = modified_ns
        #: How often a crash took something from it: a handle of an earlier generation is dead.
        self.generation = 0

    @property
    def data(self) -> bytes | bytearray:
        """What a reader sees."""
        if self._loader is not None:
            self._data, self._loader = self._loader(), None
        return self._data

    @property
    def is_dirty(self) -> bool:
        """Whether a crash could take something."""
        return bool(self._changes)

    def write(self, offset: int, new: bytes) -> None:
        """Put `new` at `offset`; a gap before it is filled with zeros."""
        data = self._writable()
        size = len(data)
        self._changes.append(_Change(offset, bytes(data[offset : offset + len(new)]), size, new, 0))
        _place(data, offset, new)

    def truncate(self, size: int) -> None:
        """Cut, or extend with zeros."""
        data = self._writable()
        self._changes.append(_Change(size, bytes(data[size:]), len(data), None, size))
        _resize(data, size)

    def sync(self) -> None:
        """What is written is there for good."""
        self._changes.clear()

    def crash(self, entropy: Entropy) -> bool:
        """Lose what was not synced: all of it, all after some point, or some of the writes, sector by sector.

        Returns:
            Whether the bytes differ from what was written.
        """
        if not self._changes:
            return False
        changes = list(self._changes)
        self._changes.clear()
        data = self._writable()
        before = bytes(data)
        for change in reversed(changes):
            _resize(data, change.old_size)
            data[change.offset : change.offset + len(change.old)] = change.old
        for change, kept in zip(changes, _survivors(changes, entropy), strict=True):
            if change.new is None:
                if kept:
                    _resize(data, change.new_size)
            elif kept:
                _place(data, change.offset, change.new[: _cut(change, kept)])
        changed = before != data
        self.generation += changed
        return changed

    def _writable(self) -> bytearray:
        data = self.data
        if not isinstance(data, bytearray):
            data = self._data = bytearray(data)
        return data


class Directory:
    """A directory: its own children, and behind them those of the base at `base_path`. None hides a base child."""

    __slots__ = ("base_path", "children", "mode", "modified_ns")

    def __init__(self, mode: int, modified_ns: int, base_path: str | None = None) -> None:
        self.base_path = base_path
        self.children: dict[str, Node | None] = {}
        self.mode = mode
        self.modified_ns = modified_ns


class Link:
    """A symbolic link of the base."""

    __slots__ = ("target",)

    def __init__(self, target: str) -> None:
        self.target = target


Node: TypeAlias = Directory | Content | Link


def _resize(data: bytearray, size: int) -> None:
    if len(data) > size:
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


def _place(data: bytearray, offset: int, new: bytes) -> None:
    if len(data) < offset:
        _resize(data, offset)
    data[offset : offset + len(new)] = new


def _sectors(change: _Change) -> int:
    """Pieces in which a change reaches the disk: a truncation is one, a write one for each sector it touches."""
    if not change.new:
        return 1
    return (change.offset + len(change.new) - 1) // SECTOR_BYTES - change.offset // SECTOR_BYTES + 1


def _cut(change: _Change, kept: int) -> int:
    """How many bytes of a write lie in its first `kept` sectors."""
    return (change.offset // SECTOR_BYTES + kept) * SECTOR_BYTES - change.offset


def _survivors(changes: list[_Change], entropy: Entropy) -> list[int]:
    """For each change how many of its sectors survive: none at all, those before a point, or each by its own luck."""
    style = entropy.below(3)
    if style == 0:
        return [0] * len(changes)
    counts = [_sectors(change) for change in changes]
    if style == 1:
        left = entropy.below(sum(counts))
        kept = []
        for count in counts:
            kept.append(min(count, left))
            left -= kept[-1]
        return kept
    return [(0, count, entropy.below(count + 1))[entropy.below(3)] for count in counts]


class SimulatedFile(io.RawIOBase):
    """An open file of a simulated disk; unbuffered, so what is written can be read at once by everyone.

    Args:
        content: the file's bytes.
        path: for error texts.
        ask: called with `"read"`, `"write"` or `"sync"` and the bytes before each such operation; it may raise.
        now_ns: the time for the file's modification.
        mode: as given to `open`, without `b`.

    After a crash that took bytes from the file every operation fails with `EIO`.
    """

    def __init__(
        self,
        content: Content,
        path: str,
        ask: Callable[[str, Content, bytes], None],
        now_ns: Callable[[], int],
        *,
        mode: str,
    ) -> None:
        super().__init__()
        self.content = content
        self.name = path
        self.mode = mode
        self._ask = ask
        self._now_ns = now_ns
        self._reads = "r" in mode or "+" in mode
        self._writes = mode[0] != "r" or "+" in mode
        self._appends = mode[0] == "a"
        self._generation = content.generation
        self._position = len(content.data) if self._appends else 0

    @property
    def is_dead(self) -> bool:
        """Whether a crash took bytes from the file since it was opened."""
        return self._generation != self.content.generation

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        return self._reads

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writes

    def seekable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes, all that are left where it is negative."""
        self._check(self._reads, "read")
        count = len(self.content.data) if size is None or size < 0 else size
        data = self.read_at(self._position, count)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into a buffer; the number of bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write at the position, or at the end of a file opened for appending; always everything."""
        self._check(self._writes, "write")
        new = bytes(data)
        position = len(self.content.data) if self._appends else self._position
        self.write_at(position, new)
        self._position = position + len(new)
        return len(new)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move; the new position."""
        self._check(True, "seek")
        base = (0, self._position, len(self.content.data))[whence]
        if base + offset < 0:
            raise failure(errno.EINVAL, self.name)
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        self._check(True, "tell")
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size, the position unless given."""
        self._check(self._writes, "truncate")
        wanted = self._position if size is None else size
        self.truncate_at(wanted)
        return wanted

    def read_at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`, wherever the position is."""
        self._alive()
        self._ask("read", self.content, b"")
        return bytes(self.content.data[offset : offset + count])

    def write_at(self, offset: int, new: bytes) -> None:
        """Write at `offset`, wherever the position is."""
        self._alive()
        self._ask("write", self.content, new)
        if new:
            self.content.write(offset, new)
            self.content.modified_ns = self._now_ns()

    def truncate_at(self, size: int) -> None:
        """Set the size."""
        self._alive()
        self._ask("write", self.content, b"")
        self.content.truncate(size)
        self.content.modified_ns = self._now_ns()

    def sync(self) -> None:
        """Make everything written durable; see `SimulatedDisk.sync`."""
        self._check(True, "sync")
        self._alive()
        self._ask("sync", self.content, b"")

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        self._alive()
        return len(self.content.data)

    def _alive(self) -> None:
        if self._generation != self.content.generation:
            raise failure(errno.EIO, self.name)

    def _check(self, allowed: bool, operation: str) -> None:
        if self.closed:
            message = "I/O operation on closed file"
            raise ValueError(message)
        if not allowed:
            raise io.UnsupportedOperation(operation)
