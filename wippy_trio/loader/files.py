"""Definition files as entries: a recursive scan for `.yaml`, `.yml` and `.json` files that have a `namespace`.

A file that cannot be read does not stop the others, as in the reference: it is reported among the problems.
Source: docs start/structure, guides/dependency-management; spec layout loading.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from determinism.seams import Disk
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError, SourcePosition
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.yaml import MAX_BYTES, Document, ValuePosition, parse

__all__ = ["Loaded", "load_directory", "load_file", "matches_glob", "scan", "skipped_folders"]

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_FILE: Final = "file://"
_NOT_DATA: Final = frozenset({"name", "kind", "meta", "data"})
_NOT_DATA_SINGLE: Final = _NOT_DATA | {"namespace", "version", "requirements", "entries"}
#: Environment variable -> folders that the scan leaves out while it is set.
_SKIPS: Final[Mapping[str, tuple[str, ...]]] = {
    "SKIP_TEMPORAL_TESTS": ("_temporal", "temporal"),
    "SKIP_CLOUDSTORAGE_TESTS": ("cloudstorage",),
    "SKIP_SQS_TESTS": ("sqs",),
    "SKIP_NETWORK_TESTS": ("network",),
}
_MAX_FOLDER_DEPTH: Final = 64


@attrs.frozen(slots=True)
class Loaded:
    """Entries in file order, and what was wrong with files that gave none."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[ConfigError, ...] = ()


def skipped_folders(env: Mapping[str, str]) -> frozenset[str]:
    """Names of folders that are left out: `node_modules`, and what the SKIP variables of `env` say."""
    found = {"node_modules"}
    for variable, folders in _SKIPS.items():
        if env.get(variable):
            found.update(folders)
    found.update(name.strip() for name in env.get("SKIP_TEST_DIRS", "").split(",") if name.strip())
    return frozenset(found)


def scan(disk: Disk, root: str, skip: frozenset[str] = frozenset()) -> list[str]:
    """Paths, relative to `root` and in name order, of the files that may hold definitions.

    Folders reached through a symbolic link are not entered.
    """
    found: list[str] = []
    _scan(disk, root, "", skip, found)
    # The reference drops files whose path merely contains a skipped name before a slash (`nontemporal/x.yaml`).
    return [path for path in found if not any(f"{name}/" in path for name in skip)]


def _scan(disk: Disk, root: str, relative: str, skip: frozenset[str], found: list[str]) -> None:
    if relative.count("/") > _MAX_FOLDER_DEPTH:
        return
    folder = posixpath.join(root, relative) if relative else root
    real = disk.realpath(folder)
    for name in sorted(disk.list(folder)):
        path = f"{relative}/{name}" if relative else name
        try:
            is_folder = disk.stat(posixpath.join(root, path)).is_dir
        except OSError:  # a dangling link, or gone since it was listed
            continue
        if not is_folder:
            if name.endswith(_SUFFIXES):
                found.append(path)
        elif name not in skip and disk.realpath(posixpath.join(folder, name)) == posixpath.join(real, name):
            _scan(disk, root, path, skip, found)


@lru_cache(maxsize=1_024)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern.removeprefix("./"))
    return re.compile("".join(parts.get(token) or re.escape(token) for token in tokens) + "(?:/.*)?", re.DOTALL)


def matches_glob(pattern: str, path: str) -> bool:
    """Whether the pattern covers `path`: `*` and `?` stay in a folder, `**` does not, a folder covers all in it."""
    return _glob(pattern).fullmatch(path) is not None


def load_directory(
    disk: Disk,
    root: str,
    *,
    skip: frozenset[str] = frozenset(),
    excluded: Callable[[str], bool] | None = None,
    shown: str | None = None,
) -> Loaded:
    """Load every definition file below `root`.

    Args:
        disk: the file system.
        root: an absolute directory; `file:///x` is relative to it, and no file outside it is read.
        skip: names of folders to leave out.
        excluded: whether to leave out a file, by its path relative to `root`.
        shown: what messages put before file names in place of `root`.
    """
    entries: list[Entry] = []
    problems: list[ConfigError] = []
    for path in scan(disk, root, skip):
        if excluded is not None and excluded(path):
            continue
        try:
            entries += load_file(disk, root, path, shown)
        except ConfigError as error:
            problems.append(error)
    return Loaded(tuple(entries), tuple(problems))


def load_file(disk: Disk, root: str, path: str, shown: str | None = None) -> list[Entry]:
    """The entries of one file; none where it has no namespace. `path` is relative to `root`.

    Raises:
        ConfigError: unreadable, bad syntax, an entry without name or kind, or a `file://` that cannot be read.
    """
    name = posixpath.join(root if shown is None else shown, path)
    document = parse(_read(disk, posixpath.join(root, path), SourcePosition(name, 1, 1)), name)
    content = document.value
    namespace = content.get("namespace") if isinstance(content, dict) else None
    if namespace is None or (isinstance(namespace, str) and not namespace.strip()):
        return []  # some other YAML file
    if not isinstance(namespace, str):
        raise ConfigError("namespace must be a text", document.position(("namespace",)))
    return _FileReader(disk, root, path, document).entries(namespace)


def _read(disk: Disk, path: str, position: SourcePosition) -> bytes:
    try:
        with disk.open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        message = f"failed to read file {path}: {error.strerror or error}"
        raise ConfigError(message, position) from error
    return content


class _FileReader:
    """Reads one definition file's document."""

    def __init__(self, disk: Disk, root: str, path: str, document: Document) -> None:
        self._disk = disk
        self._root = root
        self._folder = posixpath.dirname(path)
        self._document = document

    def entries(self, namespace: str) -> list[Entry]:
        content = self._document.value
        common = content.get("meta")
        if common is not None and not isinstance(common, dict):
            raise ConfigError("meta must be a mapping", self._document.position(("meta",)))
        common = self._inline(common or {}, ("meta",))
        raw = content.get("entries")
        if raw is not None and not isinstance(raw, list):
            raise ConfigError("entries must be a list", self._document.position(("entries",)))
        if raw:
            return [self._entry(namespace, common, item, index) for index, item in enumerate(raw)]
        if raw is None and "name" not in content and "kind" not in content:
            message = "entries: either entries array or single entry (name/kind) must be provided"
            raise ConfigError(message, self._document.position(("namespace",)))
        if not content.get("name") or not content.get("kind"):
            return []
        self._check(content, (), "")
        data = self._data(content, (), _NOT_DATA_SINGLE)
        position = ValuePosition(self._document, content, (0, 0))
        return [Entry(EntryId(namespace, content["name"]), content["kind"], common, data, position)]

    def _entry(self, namespace: str, common: Mapping[str, Any], raw: Any, index: int) -> Entry:
        path = ("entries", index)
        if not isinstance(raw, dict):
            message = f"entry[{index}].entry: an entry must be a mapping"
            raise ConfigError(message, self._document.position(path))
        self._check(raw, path, f"entry[{index}].")
        own = raw.get("meta")
        meta = {**common, **self._inline(own, (*path, "meta"))} if isinstance(own, dict) else common
        place = self._document.child_place(self._document.value["entries"], index)
        return Entry(
            EntryId(namespace, raw["name"]),
            raw["kind"],
            meta,
            self._data(raw, path, _NOT_DATA),
            ValuePosition(self._document, raw, place),
        )

    def _check(self, raw: Mapping[str, Any], path: tuple[str | int, ...], label: str) -> None:
        for field in ("name", "kind"):
            value = raw.get(field)
            if not isinstance(value, str) or not value.strip():
                message = f"{label}{field}: {field} is required and must be a non-empty string"
                raise ConfigError(message, self._document.position((*path, field)))

    def _data(self, raw: Mapping[str, Any], path: tuple[str | int, ...], excluded: frozenset[str]) -> Any:
        """The payload: the `data:` block alone where there is one, else the fields that are not the entry's own."""
        if "data" in raw:
            return self._inline(raw["data"] if raw["data"] is not None else {}, (*path, "data"))
        return {key: self._inline(value, (*path, key)) for key, value in raw.items() if key not in excluded}

    def _inline(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """`value` with every text that begins with `file://` replaced by that file's content."""
        if isinstance(value, str):
            return self._file(value, path) if value.startswith(_FILE) else value
        if isinstance(value, dict):
            return {key: self._inline(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._inline(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _file(self, url: str, path: tuple[str | int, ...]) -> str | bytes:
        position = self._document.position(path)
        target = url.removeprefix(_FILE)
        if not target:
            raise ConfigError("empty file path in file:// URL", position)
        if target.startswith("/"):
            cleaned = posixpath.normpath(target).lstrip("/")
        else:
            cleaned = posixpath.normpath(posixpath.join(self._folder, target))
        if cleaned == ".." or cleaned.startswith("../"):
            message = f"path traversal detected in file path: {target}"
            raise ConfigError(message, position)
        if cleaned in {"", "."}:
            message = f"invalid file path: {target}"
            raise ConfigError(message, position)
        content = _read(self._disk, posixpath.join(self._root, cleaned), position)
        if len(content) > MAX_BYTES:
            message = f"file {target} is larger than {MAX_BYTES >> 20} MiB"
            raise ConfigError(message, position)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content  # Lua texts are bytes: what is not UTF-8 stays as it is
