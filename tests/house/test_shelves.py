"""Every kind and every Lua module is whole: declared, in the catalogue, tested, and told of in the docs."""

import ast
import re
from pathlib import Path

import pytest

from tests.house import source

CATALOGUE = source.ROOT / "wippy_trio" / "app" / "catalogue.py"
STATUS = source.ROOT / "docs" / "reference" / "status.md"

#: Helpers that two shelf files share would make them acquainted, so a shelf holds nothing else than its goods.
SHELVES = {"kinds": "KINDS", "modules": "MODULE"}


def _goods() -> list[tuple[str, Path]]:
    return [
        (shelf, path)
        for shelf in SHELVES
        for path in source.modules(f"wippy_trio/{shelf}")
        if path.name != "__init__.py"
    ]


GOODS = _goods()
named = pytest.mark.parametrize(("shelf", "path"), GOODS, ids=[f"{shelf}/{path.stem}" for shelf, path in GOODS])


def _assigned(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def _first_texts(tree: ast.Module, call: str) -> list[str]:
    """First argument of every `call("text", ...)`."""
    return [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == call
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


@named
def test_it_declares_what_it_offers(shelf: str, path: Path) -> None:
    assert SHELVES[shelf] in _assigned(source.tree(path)), f"{source.shown(path)} has no {SHELVES[shelf]}"


@named
def test_it_has_a_test(shelf: str, path: Path) -> None:
    mirror = source.ROOT / "tests" / "wippy_trio" / shelf
    assert sorted(mirror.glob(f"test_{path.stem}*.py")), f"no {source.shown(mirror)}/test_{path.stem}.py"


@named
def test_it_is_in_the_catalogue(shelf: str, path: Path) -> None:
    if not CATALOGUE.exists():
        pytest.skip("app/catalogue.py is not there: nothing is put together yet")
    imported = {name for _, name in source.imports(source.tree(CATALOGUE))}
    me = f"wippy_trio.{shelf}.{path.stem}"
    assert any(name == me or name.startswith(me + ".") for name in imported), f"{me} is missing in app/catalogue.py"


@named
def test_its_lua_half_is_there(shelf: str, path: Path) -> None:
    preludes = [
        keyword.value.value
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "prelude" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    ]
    missing = [name for name in preludes if not (path.parent / str(name)).exists()]
    assert not missing


def test_every_lua_half_has_a_python_half() -> None:
    modules = source.ROOT / "wippy_trio" / "modules"
    named_somewhere = "\n".join(source.text(path) for shelf, path in GOODS if shelf == "modules")
    orphans = [path.name for path in sorted(modules.glob("*.lua")) if f'"{path.name}"' not in named_somewhere]
    assert not orphans


def test_the_catalogue_is_a_list_a_reader_can_see() -> None:
    if not CATALOGUE.exists():
        pytest.skip("app/catalogue.py is not there: nothing is put together yet")
    clever = re.findall(r"importlib|pkgutil|iter_modules|entry_points|__import__|globals\(\)", source.text(CATALOGUE))
    assert not clever, "no scanning: name every kind and module"


def status_rows() -> dict[str, str]:
    """Name -> state, of every table row of docs/reference/status.md that begins with names in backticks."""
    rows: dict[str, str] = {}
    for line in source.text(STATUS).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 2:
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[name] = cells[1]
    return rows


STATES = {"works", "partly", "stored", "not yet"}


def test_every_state_is_one_of_the_known() -> None:
    assert set(status_rows().values()) <= STATES


@named
def test_the_docs_tell_its_state(shelf: str, path: Path) -> None:
    tree = source.tree(path)
    names = _first_texts(tree, "Kind") if shelf == "kinds" else _first_texts(tree, "Module")
    rows = status_rows()
    silent = [name for name in names if rows.get(name, "not yet") == "not yet"]
    assert not silent, f"docs/reference/status.md must tell the state of {silent}"


def test_what_the_docs_call_working_is_on_the_shelf() -> None:
    if not CATALOGUE.exists():
        pytest.skip("app/catalogue.py is not there: nothing is put together yet")
    text = "\n".join(source.text(path) for _, path in GOODS)
    boasts = [
        name
        for name, state in status_rows().items()
        if state in {"works", "partly", "stored"} and f'"{name}"' not in text and f"'{name}'" not in text
    ]
    assert not boasts, f"not on a shelf, yet docs/reference/status.md says they are there: {boasts}"
