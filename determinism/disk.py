"""A disk for simulated runs: files in memory over a read-only view of some real folders, with faults and crashes.

The model, in full:

- What the base holds below the given roots can be read; everything that is written, renamed or removed stays here.
- A write is visible at once and durable once its file was synced. A crash may take unsynced writes: all of them,
  those after some point, or some of them, torn at sectors of 512 bytes.
- Creating, renaming and removing names is kept in one journal, in order. Syncing any file makes the whole journal
  durable; a crash may take back its end.
- Modification times come from the clock (base files all have the one at which the disk was made), listings are sorted,
  and the owner's permission bits hold. There are no links but those of the base.

Source: ours (architecture, section 2; design note on determinism).
"""

from __future__ import annotations

import errno
import posixpath
from collections import deque
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, cast

from determinism.disk_base import BaseView
from determinism.disk_file import Content, Directory, Link, Node, SimulatedFile, failure
from determinism.entropy import SeededEntropy
from determinism.seams import Clock, Disk, Entropy, Faults, FileStat, NoFaults, Strike

__all__ = ["BaseView", "SimulatedDisk"]

#: What all files that were written may hold together.
CAPACITY_BYTES: Final = 1 << 30
_JOURNAL_MAX_COUNT: Final = 4_096
_LINKS_MAX_COUNT: Final = 40
_UMASK: Final = 0o022
_DIRECTORY_MODE: Final = 0o755
_DRAW_STEPS: Final = 1 << 53


_Undo = tuple[Directory, str, Node | None, bool]  # where, name, what was there, whether anything was noted there


class SimulatedDisk:
    """The `Disk` of a simulated world.

    Args:
        clock: gives modification times.
        base: where files below `roots` are read from: a `BaseView` (share one between worlds: it reads each file
            once), another disk, or None.
        roots: absolute paths of the folders that may be read; ignored where `base` is a `BaseView`.
        faults: asked `disk_io_error` at each read, write and sync, and `disk_full` at each write and new name, with the
            path (relative to its root) as the place.
        capacity_bytes: what may be written in all; beyond it writes fail with `ENOSPC`.
        observe: told of each change: what, path, bytes.

    Reading what lies outside the roots, and was not made here, fails with an error that says so.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        base: BaseView | Disk | None = None,
        roots: Sequence[str] = (),
        faults: Faults | None = None,
        capacity_bytes: int = CAPACITY_BYTES,
        observe: Callable[[str, str, bytes], None] | None = None,
    ) -> None:
        self._clock = clock
        self._view = base if isinstance(base, BaseView) else BaseView(base, roots)
        self._faults: Faults = faults or NoFaults()
        self._left_bytes = capacity_bytes
        self._observe = observe
        self._birth_ns = clock.wall_ns()
        self._root = Directory(_DIRECTORY_MODE, self._birth_ns, "/")
        self._root.children["tmp"] = Directory(0o777, self._birth_ns, "/tmp")  # noqa: S108 - every machine has it
        self._journal: deque[list[_Undo]] = deque(maxlen=_JOURNAL_MAX_COUNT)
        self._dirty: dict[Content, str] = {}
        self._shown: dict[str, str] = {}
        #: How often the disk crashed with something lost.
        self.crash_count = 0
        #: What others keep with this disk, by their own names (SQLite's door to it); gone with it.
        self.attached: dict[str, object] = {}

    # ---- Disk

    def open(self, path: str, mode: str) -> BinaryIO:
        """See `Disk.open`. Faults may strike at its reads, writes and syncs, and when a file is made."""
        if "b" not in mode:
            message = f"files are binary: mode {mode!r} lacks b"
            raise ValueError(message)
        return cast(BinaryIO, self.open_file(path, mode))

    def open_file(self, path: str, mode: str) -> SimulatedFile:
        """As `open`, with the class known."""
        kind = mode.replace("b", "")
        parent, name, node = self._find(path)
        assert not isinstance(node, Link)  # followed
        if kind[0] == "x" and node is not None:
            raise failure(errno.EEXIST, path)
        if isinstance(node, Directory):
            raise failure(errno.EISDIR, path)
        if node is None:
            if kind[0] == "r" or parent is None:
                raise self._missing(path)
            self._require(parent, 0o200, path)
            self._strike_write(path)
            node = Content(modified_ns=self._clock.wall_ns())
            self._put("create", path, (parent, name, node))
        else:
            needs = (0o400 if kind[0] == "r" or "+" in kind else 0) | (0o200 if kind != "r" else 0)
            if node.mode & needs != needs:
                raise failure(errno.EACCES, path)
        shown = self.shown(path)
        file = SimulatedFile(node, path, self._asking(shown), self._clock.wall_ns, mode=kind)
        if kind[0] == "w" and node.data:
            file.truncate_at(0)
        return file

    def stat(self, path: str) -> FileStat:
        """See `Disk.stat`."""
        node = self._existing(path)
        size = len(node.data) if isinstance(node, Content) else 4096
        return FileStat(size, node.modified_ns, node.mode, isinstance(node, Directory))

    def list(self, path: str) -> list[str]:
        """See `Disk.list`; by name."""
        node = self._existing(path)
        if not isinstance(node, Directory):
            raise failure(errno.ENOTDIR, path)
        self._require(node, 0o400, path)
        return sorted(self._names(node))

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        """See `Disk.mkdir`."""
        parent, name, node = self._find(path)
        if node is not None:
            if parents and isinstance(node, Directory):
                return
            raise failure(errno.EEXIST, path)
        if parent is None:
            if not parents:
                raise self._missing(path)
            self.mkdir(posixpath.dirname(posixpath.normpath(path)), parents=True)
            parent, name, _ = self._find(path)
            assert parent is not None
        self._require(parent, 0o200, path)
        self._strike_write(path)
        self._put("mkdir", path, (parent, name, Directory(mode & ~_UMASK, self._clock.wall_ns())))

    def remove(self, path: str) -> None:
        """See `Disk.remove`."""
        parent, name, node = self._find(path, follow=False)
        if node is None or parent is None:
            raise self._missing(path)
        if isinstance(node, Directory):
            raise failure(errno.EISDIR, path)
        self._require(parent, 0o200, path)
        self._put("remove", path, (parent, name, None))

    def rmdir(self, path: str) -> None:
        """See `Disk.rmdir`."""
        parent, name, node = self._find(path, follow=False)
        if node is None or parent is None:
            raise self._missing(path)
        if not isinstance(node, Directory):
            raise failure(errno.ENOTDIR, path)
        if self._names(node):
            raise failure(errno.ENOTEMPTY, path)
        self._require(parent, 0o200, path)
        self._put("rmdir", path, (parent, name, None))

    def rename(self, source: str, target: str) -> None:
        """See `Disk.rename`; atomic, and what was at `target` is gone."""
        old_parent, old_name, node = self._find(source, follow=False)
        parent, name, there = self._find(target, follow=False) if old_parent is not None else (None, "", None)
        if old_parent is None or parent is None or node is None:
            raise self._missing(target if old_parent is not None and parent is None else source)
        if there is node:
            return
        here, towards = (f"{posixpath.normpath(path)}/" for path in (source, target))
        if here.startswith(towards):
            raise failure(errno.ENOTEMPTY, target)
        if isinstance(node, Directory):
            if towards.startswith(here):
                raise failure(errno.EINVAL, target)
            if there is not None and not isinstance(there, Directory):
                raise failure(errno.ENOTDIR, target)
            if isinstance(there, Directory) and self._names(there):
                raise failure(errno.ENOTEMPTY, target)
        elif isinstance(there, Directory):
            raise failure(errno.EISDIR, target)
        self._require(old_parent, 0o200, source)
        self._require(parent, 0o200, target)
        self._strike_write(target)
        self._put("rename", f"{source} -> {target}", (parent, name, node), (old_parent, old_name, None))

    def realpath(self, path: str) -> str:
        """See `Disk.realpath`: links of the base are followed."""
        real = "/"
        for name in _parts(path):
            real = posixpath.join(real, name)
            for _ in range(_LINKS_MAX_COUNT):
                try:
                    node = self._find(real, follow=False)[2]
                except NotADirectoryError:
                    break
                if not isinstance(node, Link):
                    break
                real = node.target
        return real

    def chmod(self, path: str, mode: int) -> None:
        """See `Disk.chmod`."""
        self._existing(path).mode = mode & 0o7777

    def exists(self, path: str) -> bool:
        """See `Disk.exists`."""
        try:
            return self._find(path)[2] is not None
        except OSError:
            return False

    def sync(self, file: BinaryIO) -> None:
        """Make what was written to `file`, and every name made or removed so far, durable."""
        cast(SimulatedFile, file).sync()

    def sync_names(self) -> None:
        """Make every name made, renamed or removed so far durable (as syncing a directory does)."""
        self._journal.clear()

    # ---- crashes

    def crash(self, harm: Strike | Entropy | None) -> Sequence[str]:
        """The machine goes down and comes back: unsynced writes are lost or torn, unsynced names may be taken back.

        Args:
            harm: from what it is drawn how much is lost (a `lost_unsynced_write`); None: nothing is lost.

        Returns:
            The paths of files that lost something, in the order in which they were first written.

        Open handles of files that lost something are dead: their operations fail with `EIO`.
        """
        if harm is None:
            for content in self._dirty:
                content.sync()
            self._dirty.clear()
            self._journal.clear()
            return []
        entropy = SeededEntropy(int(harm.draw * _DRAW_STEPS)) if isinstance(harm, Strike) else harm
        kept = entropy.below(len(self._journal) + 1)
        for operation in reversed(list(self._journal)[kept:]):
            for parent, name, before, noted in reversed(operation):
                made = parent.children.get(name)
                if len(operation) == 1 and isinstance(made, Content):
                    made.generation += 1  # a file that never was
                if noted:
                    parent.children[name] = before
                else:
                    parent.children.pop(name, None)
        self._journal.clear()
        lost = [path for content, path in self._dirty.items() if content.crash(entropy)]
        self._dirty.clear()
        self.crash_count += 1
        return lost

    @property
    def unsynced_paths(self) -> Sequence[str]:
        """Files with writes that a crash could take."""
        return [path for content, path in self._dirty.items() if content.is_dirty]

    @property
    def home(self) -> str:
        """Where relative paths begin: the first root, or `/`."""
        return self._view.home

    def shown(self, path: str) -> str:
        """The name of a path in faults and traces: relative to its root, so that it is the same on each machine."""
        known = self._shown.get(path)
        if known is None:
            known = self._shown[path] = self._view.relative(posixpath.normpath(path))
        return known

    # ---- inside

    def _asking(self, shown: str) -> Callable[[str, Content, bytes], None]:
        """What an open file calls before each operation."""

        def ask(what: str, content: Content, data: bytes) -> None:
            if self._faults.strike("disk_io_error", shown) is not None:
                raise failure(errno.EIO, shown)
            if what == "read":
                return
            if what == "sync":
                content.sync()
                self._dirty.pop(content, None)
                self._journal.clear()
            else:
                self._left_bytes -= len(data)
                if self._faults.strike("disk_full", shown) is not None or self._left_bytes < 0:
                    self._left_bytes += len(data)
                    raise failure(errno.ENOSPC, shown)
                self._dirty.setdefault(content, shown)
            if self._observe is not None:
                self._observe(what, shown, data)

        return ask

    def _strike_write(self, path: str) -> None:
        shown = self.shown(path)
        if self._faults.strike("disk_full", shown) is not None:
            raise failure(errno.ENOSPC, shown)

    def _put(self, what: str, path: str, *changes: tuple[Directory, str, Node | None]) -> None:
        """Carry out changes of names as one step of the journal."""
        step: list[_Undo] = []
        now_ns = self._clock.wall_ns()
        for parent, name, node in changes:
            step.append((parent, name, parent.children.get(name), name in parent.children))
            parent.children[name] = node
            parent.modified_ns = now_ns
        self._journal.append(step)
        if self._observe is not None:
            self._observe(what, " -> ".join(map(self.shown, path.split(" -> "))), b"")

    @staticmethod
    def _require(node: Directory, bits: int, path: str) -> None:
        if node.mode & bits != bits:
            raise failure(errno.EACCES, path)

    def _existing(self, path: str) -> Directory | Content:
        node = self._find(path)[2]
        if node is None:
            raise self._missing(path)
        assert not isinstance(node, Link)
        return node

    def _missing(self, path: str) -> OSError:
        if self._view.is_inside(self.realpath(path)) or self._view.is_empty:
            return failure(errno.ENOENT, path)
        message = "no such file in the simulated world, which reads only the folders it was given"
        return FileNotFoundError(errno.ENOENT, message, path)

    def _find(self, path: str, *, follow: bool = True) -> tuple[Directory | None, str, Node | None]:
        """The directory a path lies in, its name there, and what stands there; no directory where that is missing.

        Raises:
            OSError: something on the way is no directory, or links lead in a circle.
        """
        pending = _parts(path)[::-1]
        parent: Directory | None = None
        node: Node = self._root
        name = ""
        links = 0
        while pending:
            name = pending.pop()
            if not isinstance(node, Directory):
                raise failure(errno.ENOTDIR, path)
            parent = node
            child = self._child(parent, name)
            if child is None:
                return (None, "", None) if pending else (parent, name, None)
            node = child
            if isinstance(child, Link) and (follow or pending):
                links += 1
                if links > _LINKS_MAX_COUNT:
                    raise failure(errno.ELOOP, path)
                pending += _parts(child.target)[::-1]
                node = self._root
        return parent, name, node

    def _child(self, parent: Directory, name: str) -> Node | None:
        if name in parent.children or parent.base_path is None:
            return parent.children.get(name)
        path = posixpath.join(parent.base_path, name)
        fact = self._view.look(path)
        if fact is None:
            return None
        node: Node
        if fact.target:
            node = Link(fact.target)
        elif fact.is_dir:
            node = Directory(fact.mode, self._birth_ns, path)
        else:
            node = Content(mode=fact.mode, modified_ns=self._birth_ns, loader=lambda: self._view.content(path))
        parent.children[name] = node
        return node

    def _names(self, node: Directory) -> set[str]:
        names = {name for name, child in node.children.items() if child is not None}
        if node.base_path is not None:
            names.update(name for name in self._view.names(node.base_path) if node.children.get(name, node) is not None)
        return names


def _parts(path: str) -> list[str]:
    return [part for part in posixpath.normpath(path).split("/") if part]
