"""Every kind and every Lua module is whole: declared, in the catalogue, tested, and told of in the docs."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house import source
from wippy_trio.app import catalogue

STATUS = source.ROOT / "docs" / "reference" / "status.md"
BUILT_STATES = {"works", "partly", "stored"}

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


def _names(shelf: str, path: Path) -> list[str]:
    """The kinds or the module that a shelf file declares."""
    return _first_texts(source.tree(path), "Kind" if shelf == "kinds" else "Module")


@named
def test_it_declares_what_it_offers(shelf: str, path: Path) -> None:
    assert SHELVES[shelf] in _assigned(source.tree(path)), f"{source.shown(path)} has no {SHELVES[shelf]}"


@named
def test_it_has_a_test(shelf: str, path: Path) -> None:
    mirror = source.ROOT / "tests" / "wippy_trio" / shelf
    assert sorted(mirror.glob(f"test_{path.stem}*.py")), f"no {source.shown(mirror)}/test_{path.stem}.py"


@named
def test_it_is_in_the_catalogue(shelf: str, path: Path) -> None:
    names, listed = _names(shelf, path), catalogue.KINDS if shelf == "kinds" else catalogue.MODULES
    me = source.dotted(path)
    assert names
    assert not (missing := [name for name in names if listed.get(name) != me]), f"add to app/catalogue.py: {missing}"


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


@pytest.mark.parametrize("listed", [catalogue.KINDS, catalogue.MODULES], ids=["kinds", "modules"])
def test_the_catalogue_names_what_is_there(listed: Mapping[str, str]) -> None:
    shelves = {source.dotted(path): _names(shelf, path) for shelf, path in GOODS}
    missing = [f"{name} in {place}" for name, place in listed.items() if name not in shelves.get(place, ())]
    assert not missing, f"in app/catalogue.py, but not on a shelf: {missing}"


def test_the_catalogue_is_a_list_a_reader_can_see() -> None:
    text = source.text(source.ROOT / "wippy_trio" / "app" / "catalogue.py")
    clever = re.findall(r"pkgutil|iter_modules|entry_points|__import__|globals\(\)|glob\(", text)
    assert not clever, "no scanning: name every kind and module"


def test_nothing_is_both_built_and_unbuilt() -> None:
    assert not catalogue.UNBUILT_KINDS & set(catalogue.KINDS)
    assert not catalogue.UNBUILT_MODULES & set(catalogue.MODULES)


def status_rows(heading: str) -> dict[str, str]:
    """Name -> state, of the table below `heading` in docs/reference/status.md."""
    _, _, below = source.text(STATUS).partition(f"## {heading}\n")
    section = below.partition("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section, re.MULTILINE))


TABLES = [
    ("Entry kinds", catalogue.KINDS, catalogue.UNBUILT_KINDS),
    ("Lua modules", catalogue.MODULES, catalogue.UNBUILT_MODULES),
]


@pytest.mark.parametrize(("heading", "built", "unbuilt"), TABLES, ids=["kinds", "modules"])
def test_the_docs_tell_the_state_of_everything(heading: str, built: Mapping[str, str], unbuilt: frozenset[str]) -> None:
    rows = status_rows(heading)
    assert set(rows.values()) <= {*BUILT_STATES, "not yet"}
    assert sorted(rows) == sorted({*built, *unbuilt})
    wrong = [name for name, state in rows.items() if (state in BUILT_STATES) != (name in built)]
    assert not wrong, f"docs/reference/status.md and app/catalogue.py differ on {wrong}"
