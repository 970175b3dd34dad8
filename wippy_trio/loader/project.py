"""A project as entries: lock file, scan of its load paths, module marks and filters, stages.

Source: docs guides/dependency-management (Load Order), start/structure; spec layout loading and pipeline.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

import attrs

from determinism.seams import Disk
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError
from wippy_trio.loader.files import Loaded, load_directory, matches_glob
from wippy_trio.loader.lock import LOCK_NAME, LoadPath, load_paths, read_lock, read_manifest
from wippy_trio.loader.stages import DisableRules, disable, normalize

__all__ = ["LoadOptions", "Project", "load"]


@attrs.frozen(slots=True)
class LoadOptions:
    """What the configuration says of loading.

    Attributes:
        overrides: `namespace:entry:path` -> value.
        rules: entries to drop.
        replacements: `org/module` -> absolute directory, or None to take back the lock's replacement.
        skip: names of folders that the scan leaves out.
        strict: unresolved requirements are errors.
    """

    overrides: Mapping[str, Any] = attrs.field(factory=dict)
    rules: DisableRules = attrs.field(factory=DisableRules)
    replacements: Mapping[str, str | None] = attrs.field(factory=dict)
    skip: frozenset[str] = frozenset()
    strict: bool = False


@attrs.frozen(slots=True)
class Project:
    """What a project gives to the registry.

    Attributes:
        entries: one per id, in file order.
        problems: what the reference only logs: unreadable files, duplicates, unresolved requirements.
        paths: what was loaded, in order.
        module_roots: `org/module` -> the directory that the module's own files are relative to.
    """

    entries: tuple[Entry, ...] = ()
    problems: tuple[ConfigError, ...] = ()
    paths: tuple[LoadPath, ...] = ()
    module_roots: Mapping[str, str] = attrs.field(factory=dict)


def load(disk: Disk, directory: str, options: LoadOptions, lock_name: str = LOCK_NAME) -> Project:
    """Load the project in `directory` (absolute); without a lock file it has no entries. Runs before serving.

    Raises:
        ConfigError: a wrong lock file, override or rule.
        UnsupportedError: a module that is a pack.
    """
    lock = read_lock(disk, posixpath.join(directory, lock_name), lock_name)
    if lock is None:
        return Project()
    paths = load_paths(disk, lock, options.replacements)
    entries: list[Entry] = []
    problems: list[ConfigError] = []
    for path in paths:
        loaded = _load_path(disk, path, options.skip, directory)
        entries += loaded.entries
        problems += loaded.problems
    normal = normalize(entries, options.overrides, options.rules, strict=options.strict)
    roots = {path.module: path.source_root for path in paths if path.module}
    return Project(normal.entries, (*problems, *normal.problems), paths, roots)


def _load_path(disk: Disk, path: LoadPath, skip: frozenset[str], directory: str) -> Loaded:
    shown = posixpath.relpath(path.path, directory)
    if shown.startswith(".."):
        shown = path.path
    elif shown == ".":
        shown = ""
    if not disk.exists(path.path):
        message = f"directory {shown or path.path} not found, nothing is loaded from it"
        return Loaded((), (ConfigError(message),))
    if not path.module:
        return load_directory(disk, path.path, skip=skip, shown=shown)
    manifest = read_manifest(disk, path.source_root)
    inner = posixpath.relpath(path.path, path.source_root)

    def excluded(file: str) -> bool:
        # Patterns are relative to the module's root, the scan to its src folder.
        whole = posixpath.normpath(posixpath.join(inner, file))
        return any(matches_glob(pattern, whole) for pattern in manifest.exclude_files)

    loaded = load_directory(disk, path.path, skip=skip, excluded=excluded, shown=shown)
    kept = disable(loaded.entries, DisableRules((), manifest.exclude_entries, manifest.exclude_meta))
    return Loaded(tuple(_marked(entry, path) for entry in kept), loaded.problems)


def _marked(entry: Entry, path: LoadPath) -> Entry:
    mark = {"module": path.module}
    if path.version:
        mark["module_version"] = path.version
    return attrs.evolve(entry, meta={**entry.meta, **mark})
