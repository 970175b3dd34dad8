"""`init`: lock file, configuration and a working template. Source: docs guides/cli (wippy init), start/structure."""

from __future__ import annotations

import json
import posixpath
from importlib.resources import files
from importlib.resources.abc import Traversable

import attrs

from determinism.seams import Disk
from determinism.system import system_environment
from wippy_trio.core.errors import AlreadyExistsError, ConfigError

__all__ = ["TEMPLATES", "InitRequest", "init_app"]

#: Template -> what to try first.
TEMPLATES = {
    "minimal": "wippy-trio run hello",
    "http": "wippy-trio run",
    "worker": "wippy-trio run",
}
_NO_TEMPLATE = "none"
#: Files in a package cannot begin with a dot without being missed by tools: `dot_x` stands for `.x`.
_DOT = "dot_"


@attrs.frozen(slots=True)
class InitRequest:
    """What `init` was asked to do."""

    directory: str = "."
    template: str | None = None
    src_dir: str = "./src"
    modules_dir: str = ".wippy"
    lock_file: str = "wippy.lock"


def init_app(request: InitRequest) -> list[str]:
    """Write the files and return lines that say what was done and what comes next.

    Raises:
        ConfigError: no such template.
        AlreadyExistsError: a file is there; nothing was written.
    """
    disk = system_environment().disk
    root = posixpath.normpath(request.directory)
    source = posixpath.normpath(posixpath.join(root, request.src_dir))
    template = request.template
    if template is None:
        template = _NO_TEMPLATE if disk.exists(source) and disk.list(source) else "minimal"
    if template not in {*TEMPLATES, _NO_TEMPLATE}:
        names = ", ".join([*TEMPLATES, _NO_TEMPLATE])
        raise ConfigError(f"no template '{template}'", hint=f"templates are {names}")
    lock = f"directories:\n  modules: {_scalar(request.modules_dir)}\n  src: {_scalar(request.src_dir)}\n"
    planned = {posixpath.join(root, request.lock_file): lock.encode()}
    if template != _NO_TEMPLATE:
        folder = files("wippy_trio.cli") / "templates"
        planned |= _files_of(folder / "common", root, source) | _files_of(folder / template, root, source)
    planned = {posixpath.normpath(path): content for path, content in planned.items()}
    there = sorted(path for path in planned if disk.exists(path))
    if there:
        raise AlreadyExistsError(f"{', '.join(there)}: there already; nothing was written")
    for path, content in sorted(planned.items()):
        _write(disk, path, content)
    lines = [f"wrote {path}" for path in sorted(planned)]
    if template in TEMPLATES:
        enter = "" if root == "." else f"cd {root} && "
        lines.append(f"try it: {enter}{TEMPLATES[template]}")
    return lines


def _scalar(text: str) -> str:
    """A text as YAML; quoted where it is more than a plain path."""
    plain = text and all(char.isalnum() or char in "./_-" for char in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _files_of(folder: Traversable, root: str, source: str) -> dict[str, bytes]:
    """Target path -> content; what lies in `src` goes to the folder of the sources."""
    found: dict[str, bytes] = {}
    todo = [(item, root) for item in folder.iterdir()]
    while todo:
        item, target = todo.pop()
        name = f".{item.name.removeprefix(_DOT)}" if item.name.startswith(_DOT) else item.name
        if item.is_file():
            found[posixpath.join(target, name)] = item.read_bytes()
        elif item.is_dir() and item.name != "__pycache__":
            inner = source if target == root and name == "src" else posixpath.join(target, name)
            todo += [(child, inner) for child in item.iterdir()]
    return found


def _write(disk: Disk, path: str, content: bytes) -> None:
    folder = posixpath.dirname(path)
    if folder and not disk.exists(folder):
        disk.mkdir(folder, parents=True)
    with disk.open(path, "xb") as file:
        file.write(content)
