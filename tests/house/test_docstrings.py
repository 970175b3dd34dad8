"""Public names say what they are. What the name's owner already says once is not asked for twice.

Asked for: modules, public classes, public functions and methods. Not asked for: dunders; a method that a documented
base class or Protocol of ours names too (the contract stands there); the bodies of a Protocol (its class speaks for
them); handlers declared by a decorator of their module (`@MODULE.waiting("store.get")`: the operation is the name);
nested functions; properties and methods of one line, which are their own description; the methods of a parser,
each of which reads the rule it is named after; and `on_<node>` methods of a visitor, which are named after the node.
"""

import ast

from tests.house import source

Function = ast.FunctionDef | ast.AsyncFunctionDef


def _public(name: str) -> bool:
    return not name.startswith("_")


def _is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def _contracts() -> frozenset[str]:
    """Names of methods that some Protocol, or some documented method of ours, describes."""
    names: set[str] = set()
    for path in source.modules():
        for node in ast.walk(source.tree(path)):
            if not isinstance(node, ast.ClassDef):
                continue
            for item in node.body:
                if isinstance(item, Function) and (_is_protocol(node) or ast.get_docstring(item)):
                    names.add(item.name)
    return frozenset(names)


def _is_handler(node: Function) -> bool:
    return any(ast.unparse(item).startswith(("MODULE.", "module.")) for item in node.decorator_list)


def _is_plain(node: Function) -> bool:
    """One statement: shorter than any sentence about it."""
    return len(node.body) == 1 and node.body[0].end_lineno == node.body[0].lineno


def undocumented(tree: ast.Module, contracts: frozenset[str]) -> list[tuple[int, str]]:
    """(line, name) of public names that say nothing."""
    found = [] if ast.get_docstring(tree) or not tree.body else [(1, "module")]
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or not _public(node.name):
            continue
        if not ast.get_docstring(node) and not (isinstance(node, Function) and _is_handler(node)):
            found.append((node.lineno, node.name))
        if isinstance(node, ast.ClassDef) and not _is_protocol(node) and not node.name.endswith("Parser"):
            found += [
                (item.lineno, f"{node.name}.{item.name}")
                for item in node.body
                if isinstance(item, Function)
                and _public(item.name)
                and not ast.get_docstring(item)
                and not _is_plain(item)
                and item.name not in contracts
                and not item.name.startswith("on_")
            ]
    return found


def test_public_names_are_documented() -> None:
    contracts = _contracts()
    silent = [
        f"{source.shown(path)}:{line} {name}"
        for path in source.modules()
        if not any(part.startswith("_") for part in path.relative_to(source.ROOT).parts if part != "__init__.py")
        for line, name in undocumented(source.tree(path), contracts)
    ]
    assert not silent, f"{len(silent)} public names without a docstring:\n" + "\n".join(silent)


def test_an_undocumented_name_would_be_found() -> None:
    body = "    x = 1\n    return x\n"
    tree = ast.parse(f'"""M."""\ndef f():\n{body}class A:\n  def g(self):\n{body}')
    assert [name for _, name in undocumented(tree, frozenset())] == ["f", "A", "A.g"]
    assert [name for _, name in undocumented(tree, frozenset({"g"}))] == ["f", "A"]
