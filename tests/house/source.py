"""What the house tests read: the source tree, parsed once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("determinism", "sandbox", "wippy_trio")


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    """Every Python file below `folders` (the packages, unless told otherwise), in order."""
    return tuple(
        path
        for folder in folders or PACKAGES
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "__pycache__" not in path.parts
    )


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=shown(path))


def shown(path: Path) -> str:
    """The path as a reader knows it."""
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    """The module's import name."""
    name = shown(path).removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file git knows; in an unpacked archive, every file of the folders that are released."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        folders = (*PACKAGES, "tests", "docs", "fuzz")
        return tuple(path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file())
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def imports(node: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported; `from a import b` gives `a.b`."""
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            for alias in found.names:
                yield found.lineno, alias.name
        elif isinstance(found, ast.ImportFrom):
            for alias in found.names:
                yield found.lineno, f"{found.module}.{alias.name}"


def names_bound_by_imports(node: ast.AST) -> dict[str, str]:
    """Local name -> what it stands for, over all imports of a module."""
    bound: dict[str, str] = {}
    for found in ast.walk(node):
        if isinstance(found, ast.Import):
            for alias in found.names:
                bound[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(found, ast.ImportFrom):
            for alias in found.names:
                bound[alias.asname or alias.name] = f"{found.module}.{alias.name}"
    return bound


def uses(node: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every use of something imported, and of every plain call of a builtin."""
    bound = names_bound_by_imports(node)
    inner = {id(found.value) for found in ast.walk(node) if isinstance(found, ast.Attribute)}
    for found in ast.walk(node):
        if id(found) in inner:
            continue  # `os` and `os.path` in `os.path.join`: the whole name is what is used
        if isinstance(found, ast.Attribute):
            name = _chain(found, bound)
            if name:
                yield found.lineno, name
        elif isinstance(found, ast.Name) and isinstance(found.ctx, ast.Load):
            yield found.lineno, bound.get(found.id, f"builtins.{found.id}")


def _chain(node: ast.Attribute, bound: dict[str, str]) -> str:
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    if not isinstance(value, ast.Name) or value.id not in bound:
        return ""
    return ".".join([bound[value.id], *reversed(parts)])
