"""Nothing swallows its neighbours: limits on modules, functions and arguments, ratcheted."""

import ast
from pathlib import Path

from tests.house import source

MODULE_LINES = 400
TEST_MODULE_LINES = 600
FUNCTION_LINES = 70
#: A module that must be longer says why in its first lines: `# size: <reason>` (`-- size:` in Lua).
REASON_LINES = 30

#: "file:function" -> lines of those that were too long once. They may only shrink; then their line goes.
TOO_LONG: dict[str, int] = {}


def _has_reason(text: str) -> bool:
    head = text.splitlines()[:REASON_LINES]
    return any(line.strip().startswith(("# size: ", "-- size: ")) for line in head)


def _too_long(paths: list[Path], limit: int) -> list[str]:
    return [
        f"{source.shown(path)}: {count} lines, above {limit}; split it, or write `size: <reason>` at its top"
        for path in paths
        if (count := len(source.text(path).splitlines())) > limit and not _has_reason(source.text(path))
    ]


def test_python_modules_are_short() -> None:
    assert not (found := _too_long([*source.modules(), *source.modules("fuzz")], MODULE_LINES)), "\n".join(found)


def test_lua_modules_are_short() -> None:
    lua = [path for package in source.PACKAGES for path in sorted((source.ROOT / package).rglob("*.lua"))]
    assert not (found := _too_long(lua, MODULE_LINES)), "\n".join(found)


def test_test_modules_are_short() -> None:
    assert not (found := _too_long(list(source.modules("tests")), TEST_MODULE_LINES)), "\n".join(found)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, without the docstring: documenting costs nothing."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def _functions() -> dict[str, int]:
    """`file:function` -> lines, of every function of the packages."""
    found: dict[str, int] = {}
    for path in source.modules():
        for node in ast.walk(source.tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{source.shown(path)}:{node.name}"
                found[name] = max(found.get(name, 0), lines_of(node))
    return found


def test_functions_are_short() -> None:
    grown = [
        f"{name}: {lines} lines, above {TOO_LONG.get(name, FUNCTION_LINES)}"
        for name, lines in _functions().items()
        if lines > TOO_LONG.get(name, FUNCTION_LINES)
    ]
    assert not grown, "\n".join(grown)


def test_the_list_of_long_functions_only_shrinks() -> None:
    functions = _functions()
    mended = [name for name, lines in TOO_LONG.items() if functions.get(name, 0) < lines]
    assert not mended, f"shorter than TOO_LONG says: lower or delete these lines: {mended}"


def test_a_docstring_is_not_counted() -> None:
    [function] = ast.parse('def f():\n    """One.\n\n    Two.\n    """\n    return 1\n').body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 2
