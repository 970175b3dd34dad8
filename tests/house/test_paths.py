"""Nothing of one machine, and no address of a package registry, is in a tracked file."""

import re
from pathlib import Path

from tests.house import source

# The brackets keep this file from finding itself.
MACHINE = re.compile(r"(?:^|[^\w./\-])/(?:[w]ork|[f]arm|[r]oot|[h]ome|[t]mp/ref|[U]sers)/\w")
REGISTRIES = re.compile(r"[p]ypi\.org|[p]ythonhosted\.org|[n]pmjs\.(?:org|com)|[p]roxy\.golang")
BINARY = {".png", ".jpg", ".gif", ".ico", ".wasm", ".wapp", ".zip", ".gz", ".db", ".woff2", ".xlsx"}
#: What may say such a thing, and why.
ALLOWED: dict[str, str] = {}


def _findings(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{source.shown(path)}:{number}: {line.strip()[:100]}"
        for path in source.tracked()
        if path.suffix not in BINARY and source.shown(path) not in ALLOWED
        for number, line in enumerate(_lines(path), 1)
        if pattern.search(line)
    ]


def _lines(path: Path) -> list[str]:
    try:
        return source.text(path).splitlines()
    except UnicodeDecodeError:
        return []  # a binary fixture


def test_no_paths_of_a_machine() -> None:
    assert not (found := _findings(MACHINE)), "\n".join(found)


def test_no_registry_addresses() -> None:
    assert not (found := _findings(REGISTRIES)), "\n".join(found)


def test_they_would_be_found() -> None:
    home = "/" + "home/me/x"
    assert MACHINE.search(f'open("{home}")')
    assert not MACHINE.search(f"docs{home}")
    assert not MACHINE.search("GET /workers/1")
    assert REGISTRIES.search("https://" + "pypi" + ".org/simple")


def test_nothing_built_is_tracked() -> None:
    products = re.compile(r"\.(?:pyc|so|egg-info)$|__pycache__|^(?:site|build|dist)/")
    built = [name for path in source.tracked() if products.search(name := source.shown(path))]
    assert not built


def test_the_ci_script_can_be_run() -> None:
    script = source.ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert source.text(script).startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in source.text(script)
