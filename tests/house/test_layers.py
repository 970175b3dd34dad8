"""What the import contracts of pyproject.toml cannot say: confined imports, seams, and no circles at all."""

import ast
import copy
import re

from tests.house import source

#: Import -> where alone it may stand, and why. A path ending in "/" is a folder.
CONFINED = {
    "lupa": (("sandbox/vm.py",), "the one door to Lua"),
    "psycopg": (("wippy_trio/storage/",), "drivers stay behind the SQL interface"),
    "apsw": (("wippy_trio/storage/", "wippy_trio/workflows/", "wippy_trio/registry/"), "SQL driver, and the histories"),
    "pymysql": (("wippy_trio/storage/",), "drivers stay behind the SQL interface"),
    "temporalio": (("wippy_trio/workflows/",), "another engine for the same driver"),
    "trio_asyncio": (("wippy_trio/workflows/",), "changes the event-loop policy of the process when imported"),
    "hypercorn": (("wippy_trio/http/",), "server"),
    "quart": (("wippy_trio/http/",), "administration pages"),
    "quart_trio": (("wippy_trio/http/",), "administration pages"),
    "h11": (("wippy_trio/http/",), "protocol"),
    "wsproto": (("wippy_trio/http/",), "protocol"),
    "httpx2": (("wippy_trio/http/",), "client"),
    "click": (("wippy_trio/cli/",), "command line"),
}

#: What touches the world: reached through determinism.seams, never by itself. Prefixes of dotted names.
SEALED = (
    "asyncio",
    "builtins.input",
    "builtins.open",
    "concurrent",
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "fcntl",
    "glob",
    "io.open",
    "logging.FileHandler",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib.Path",
    "platform",
    "queue",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "socketserver",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "trio.Path",
    "trio.from_thread",
    "trio.lowlevel.open_process",
    "trio.open_file",
    "trio.open_signal_receiver",
    "trio.open_ssl_over_tcp_listeners",
    "trio.open_ssl_over_tcp_stream",
    "trio.open_tcp_listeners",
    "trio.open_tcp_stream",
    "trio.open_unix_socket",
    "trio.run_process",
    "trio.serve_ssl_over_tcp",
    "trio.serve_tcp",
    "trio.socket",
    "trio.to_thread",
    "uuid.getnode",
    "uuid.uuid1",
    "uuid.uuid4",
)

#: Pure parts of sealed names: text, constants and types.
PURE = (
    "os.PathLike",
    "os.fspath",
    "os.path.basename",
    "os.path.commonpath",
    "os.path.dirname",
    "os.path.isabs",
    "os.path.join",
    "os.path.normpath",
    "os.path.sep",
    "os.path.split",
    "os.path.splitext",
    "os.sep",
    "socket.AF_INET",
    "socket.AF_INET6",
    "socket.AF_UNIX",
    "socket.SocketKind",
    "trio.socket.AF_INET",
    "trio.socket.AF_INET6",
    "trio.socket.AF_UNIX",
)

#: (file, sealed name) -> why this one file may.
ALLOWED = {
    ("wippy_trio/system/env.py", "os"): "env.storage.os is a view of the process environment",
    ("wippy_trio/app/config.py", "os"): "configuration takes overrides from the process environment",
    ("wippy_trio/system/exec.py", "trio.lowlevel.open_process"): "exec.native runs commands",
    ("wippy_trio/system/exec.py", "trio.run_process"): "exec.native runs commands",
    ("wippy_trio/system/exec.py", "subprocess"): "pipes of exec.native",
    ("wippy_trio/system/exec.py", "signal"): "exec.native sends signals to its commands",
    ("wippy_trio/system/exec.py", "os"): "exec.native signals process groups",
    ("wippy_trio/system/machine.py", "os"): "the system module tells of the machine and the process",
    ("wippy_trio/system/machine.py", "platform"): "the system module tells of the machine and the process",
    ("wippy_trio/modules/exec.py", "signal"): "names of signals",
    ("wippy_trio/cli/session.py", "signal"): "the program stops on signals",
    ("wippy_trio/cli/session.py", "trio.open_signal_receiver"): "the program stops on signals",
    ("wippy_trio/cli/session.py", "os"): "the folder it runs in, and how it exits",
}


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def test_confined_imports_stand_where_they_belong() -> None:
    astray = [
        f"{source.shown(path)}:{line} imports {name}: {CONFINED[top][1]}, in {', '.join(CONFINED[top][0])}"
        for path in source.modules()
        for line, name in source.imports(source.tree(path))
        if (top := name.partition(".")[0]) in CONFINED
        and not any(
            source.shown(path) == place or (place.endswith("/") and source.shown(path).startswith(place))
            for place in CONFINED[top][0]
        )
    ]
    assert not astray, "\n".join(astray)


def _sealed_uses() -> list[tuple[str, int, str, str]]:
    """(file, line, name used, sealed prefix), outside determinism/."""
    found = []
    for path in source.modules("sandbox", "wippy_trio"):
        for line, name in source.uses(source.tree(path)):
            if any(_within(name, pure) for pure in PURE):
                continue
            for sealed in SEALED:
                if _within(name, sealed):
                    found.append((source.shown(path), line, name, sealed))
    return found


def test_the_world_is_reached_through_the_seams_only() -> None:
    direct = [
        f"{file}:{line} uses {name}; go through determinism.seams, or give a reason in ALLOWED"
        for file, line, name, sealed in _sealed_uses()
        if (file, sealed) not in ALLOWED
    ]
    assert not direct, "\n".join(direct)


def test_every_allowance_of_an_existing_file_is_used() -> None:
    used = {(file, sealed) for file, _, _, sealed in _sealed_uses()}
    idle = [key for key in ALLOWED if (source.ROOT / key[0]).exists() and key not in used]
    assert not idle, f"no longer needed: {idle}"


def test_prints_are_for_the_command_line() -> None:
    printing = [
        f"{source.shown(path)}:{line}"
        for path in source.modules()
        if not source.shown(path).startswith(("wippy_trio/cli/", "wippy_trio/__main__"))
        for line, name in source.uses(source.tree(path))
        if name == "builtins.print"
    ]
    assert not printing, "\n".join(printing)


def _at_import_time(module: ast.Module) -> ast.Module:
    """The module without what runs later or never: bodies of functions, and imports for the type checker alone."""

    class Trim(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else node

    trimmed = Trim().visit(copy.deepcopy(module))
    assert isinstance(trimmed, ast.Module)
    return trimmed


def _graph() -> dict[str, set[str]]:
    """Module -> modules it imports when it is imported.

    Circles of types and of late imports between packages are refused by the contracts in pyproject.toml; inside one
    package two halves may know each other's types.
    """
    known = {source.dotted(path) for path in source.modules()}
    graph: dict[str, set[str]] = {}
    for path in source.modules():
        me = source.dotted(path)
        graph[me] = set()
        for _, name in source.imports(_at_import_time(source.tree(path))):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != me:
                graph[me].add(target)
    return graph


def _circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports, or nothing."""
    state: dict[str, int] = {}
    way: list[str] = []

    def visit(node: str) -> list[str]:
        state[node] = 1
        way.append(node)
        for target in sorted(graph[node]):
            if state.get(target) == 1:
                return [*way[way.index(target) :], target]
            if target not in state and (found := visit(target)):
                return found
        way.pop()
        state[node] = 2
        return []

    for node in sorted(graph):
        if node not in state and (found := visit(node)):
            return found
    return []


def test_no_circles_at_import_time() -> None:
    assert not (circle := _circle(_graph())), " -> ".join(circle)


def test_a_circle_would_be_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_a_direct_use_would_be_found() -> None:
    code = ast.parse("import time as t\nfrom datetime import datetime\nt.time()\ndatetime.now()\nopen('x')")
    names = {name for _, name in source.uses(code)}
    assert {"time.time", "datetime.datetime.now", "builtins.open"} <= names


def test_the_schedulers_private_switch_is_touched_in_one_file() -> None:
    touching = [
        source.shown(path)
        for path in source.modules()
        if re.search(r"trio\._core|_ALLOW_DETERMINISTIC_SCHEDULING", source.text(path))
    ]
    assert set(touching) <= {"determinism/schedule.py"}


def test_python_is_imported_absolutely() -> None:
    relative = [
        f"{source.shown(path)}:{node.lineno}"
        for path in source.modules()
        for node in ast.walk(source.tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative, "\n".join(relative)
