"""`wippy.lock`: source directory, pinned modules and replacements; and the module manifest `wippy.yaml`.

Source: docs guides/dependency-management, guides/publishing; spec layout file.wippy_lock.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, Final

import attrs

from determinism.seams import Disk
from wippy_trio.core.errors import ConfigError, SourcePosition, UnsupportedError
from wippy_trio.loader.yaml import Document, parse

__all__ = ["LOCK_NAME", "LoadPath", "Lock", "LockedModule", "Manifest", "load_paths", "read_lock", "read_manifest"]

LOCK_NAME: Final = "wippy.lock"
_MANIFEST_NAME: Final = "wippy.yaml"


@attrs.frozen(slots=True)
class LockedModule:
    """A pinned dependency: `name` is `org/module`."""

    name: str
    version: str
    hash: str = ""


@attrs.frozen(slots=True)
class Lock:
    """A lock file. `directory` is where it lies; the other paths are relative to it or absolute."""

    directory: str
    src: str = "./src"
    modules_directory: str = ".wippy"
    modules: tuple[LockedModule, ...] = ()
    replacements: Mapping[str, str] = attrs.field(factory=dict)
    unpack_modules: bool = False
    position: SourcePosition | None = attrs.field(default=None, eq=False, repr=False)

    def resolve(self, path: str) -> str:
        """`path` as an absolute path."""
        return posixpath.normpath(posixpath.join(self.directory, path))

    @property
    def vendor_directory(self) -> str:
        """Where modules are installed, absolute."""
        directory = self.resolve(self.modules_directory)
        return directory if posixpath.basename(directory) == "vendor" else posixpath.join(directory, "vendor")


@attrs.frozen(slots=True)
class LoadPath:
    """A directory to load, and the module that owns it (empty for the application itself).

    `source_root` is the module's root, against which its own files are found; `path` may be its `src` folder.
    """

    path: str
    module: str = ""
    version: str = ""
    source_root: str = ""


@attrs.frozen(slots=True)
class Manifest:
    """What of a module's `wippy.yaml` matters when it is loaded from source."""

    exclude_entries: tuple[str, ...] = ()
    exclude_files: tuple[str, ...] = ()
    exclude_meta: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)


def read_lock(disk: Disk, path: str, shown: str = LOCK_NAME) -> Lock | None:
    """Read a lock file; None where there is none. `path` is absolute, `shown` its name in messages.

    Raises:
        ConfigError: bad YAML or a value the lock may not have.
    """
    if not disk.exists(path):
        return None
    with disk.open(path, "rb") as file:
        document = parse(file.read(), shown)
    data = document.value if document.value is not None else {}
    if not isinstance(data, dict):
        raise ConfigError("wippy.lock must be a mapping", document.position())
    directories = _mapping(document, data, "directories")
    options = _mapping(document, data, "options")
    return Lock(
        posixpath.dirname(path),
        _text(document, directories.get("src", "./src"), ("directories", "src")),
        _text(document, directories.get("modules", ".wippy"), ("directories", "modules")),
        tuple(_modules(document, data)),
        dict(_replacements(document, data)),
        options.get("unpack_modules") is True,
        document.position(),
    )


def _mapping(document: Document, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        message = f"{key} must be a mapping"
        raise ConfigError(message, document.position((key,)))
    return {name: value for name, value in found.items() if value is not None}


def _list(document: Document, data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = data.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        message = f"{key} must be a list of mappings"
        raise ConfigError(message, document.position((key,)))
    return found


def _text(document: Document, value: Any, path: tuple[str | int, ...]) -> str:
    if not isinstance(value, str) or not value:
        problem = "cannot be empty" if value == "" else "must be a text"
        message = f"{'.'.join(str(step) for step in path)} {problem}"
        raise ConfigError(message, document.position(path))
    return value


def _modules(document: Document, data: Mapping[str, Any]) -> list[LockedModule]:
    found = []
    for index, item in enumerate(_list(document, data, "modules")):
        name = item.get("name")
        _check_name(name, document.position(("modules", index, "name")))
        version = item.get("version")
        if not isinstance(version, str) or not version:
            message = f'module "{name}" has empty version'
            raise ConfigError(message, document.position(("modules", index)))
        found.append(LockedModule(str(name), version, str(item.get("hash") or "")))
    return found


def _replacements(document: Document, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for index, item in enumerate(_list(document, data, "replacements")):
        position = document.position(("replacements", index))
        source, target = item.get("from"), item.get("to")
        if not source:
            raise ConfigError("replacement has empty 'from' field", position)
        _check_name(source, position)
        if not isinstance(target, str) or not target:
            message = f"replacement \"{source}\" has empty 'to' field"
            raise ConfigError(message, position)
        found.append((source, target))
    return found


def _check_name(name: Any, position: SourcePosition) -> None:
    parts = name.split("/") if isinstance(name, str) else []
    if len(parts) != 2 or not all(parts) or any(part in {".", ".."} for part in parts):
        message = f'invalid module "{name}": expected org/module'
        raise ConfigError(message, position)


def load_paths(disk: Disk, lock: Lock, replacements: Mapping[str, str | None]) -> tuple[LoadPath, ...]:
    """What to load, in order: sources, replacement directories, installed modules.

    Args:
        disk: the file system.
        lock: the lock file.
        replacements: `workspace.replacements` with absolute directories; they win over the lock's own, and None
            takes one of those back.

    Raises:
        ConfigError: a replacement that is no directory, or a module that is not installed.
        UnsupportedError: a module that is installed as a pack only.
    """
    src = lock.resolve(lock.src)
    if lock.src == "./src" and not disk.exists(src):
        src = lock.directory  # a lock without directories and a project without src/: the sources lie beside it
    paths = [LoadPath(src)]
    replaced: dict[str, str] = {}
    for name, target in {**lock.replacements, **replacements}.items():
        if target is not None:
            root = lock.resolve(target)
            if not disk.exists(root) or not disk.stat(root).is_dir:
                message = f'replacement path "{target}" of {name} does not exist or is no directory'
                raise ConfigError(message, lock.position)
            replaced[name] = root
            inner = posixpath.join(root, "src")
            path = inner if disk.exists(inner) and disk.stat(inner).is_dir else root
            paths.append(LoadPath(path, name, "", root))
    for module in lock.modules:
        if module.name not in replaced:
            root = _installed(disk, lock, module)
            paths.append(LoadPath(root, module.name, module.version, root))
    return tuple(paths)


def _installed(disk: Disk, lock: Lock, module: LockedModule) -> str:
    preferred = posixpath.join(lock.vendor_directory, module.name)
    if disk.exists(preferred):
        return preferred
    versioned = f"{preferred}-{module.version}"
    if disk.exists(f"{versioned}.wapp"):
        message = (
            f"module {module.name} is installed as a pack ({versioned}.wapp) and packs cannot be read yet: "
            "see docs/reference/status.md; unpack it (options.unpack_modules) or use a replacement directory"
        )
        raise UnsupportedError(message)
    if disk.exists(versioned):
        return versioned
    message = f"module {module.name} {module.version} is not installed"
    raise ConfigError(message, lock.position, f"expected its files in {preferred}")


def read_manifest(disk: Disk, root: str) -> Manifest:
    """The exclusions of the module at `root`; none where it has no `wippy.yaml`.

    Raises:
        ConfigError: bad YAML.
    """
    path = posixpath.join(root, _MANIFEST_NAME)
    if not disk.exists(path):
        return Manifest()
    with disk.open(path, "rb") as file:
        document = parse(file.read(), path)
    data = document.value if isinstance(document.value, dict) else {}
    exclude = [item for item in data.get("exclude") or [] if isinstance(item, str)]
    return Manifest(
        tuple(item for item in exclude if ":" in item),
        tuple(item for item in exclude if ":" not in item),
        {
            key: tuple(item for item in (values if isinstance(values, list) else [values]) if isinstance(item, str))
            for key, values in (data.get("exclude_meta") or {}).items()
        },
    )
