from __future__ import annotations

from pathlib import Path

import pytest

from determinism.system import SystemDisk
from wippy_trio.core.errors import ConfigError, UnsupportedError
from wippy_trio.loader.lock import LoadPath, Lock, LockedModule, Manifest, load_paths, read_lock, read_manifest

DISK = SystemDisk()


def lock_of(folder: Path, text: str) -> Lock:
    (folder / "wippy.lock").write_text(text)
    lock = read_lock(DISK, str(folder / "wippy.lock"))
    assert lock is not None
    return lock


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)


def test_a_whole_lock(tmp_path: Path) -> None:
    lock = lock_of(
        tmp_path,
        "directories: {modules: .wippy, src: ./code}\n"
        "modules:\n  - {name: acme/http, version: v1.2.0, hash: abc}\n"
        "replacements:\n  - {from: acme/sql, to: ../sql}\n"
        "options: {unpack_modules: true}\n",
    )
    root = str(tmp_path)
    modules = (LockedModule("acme/http", "v1.2.0", "abc"),)
    assert lock == Lock(root, "./code", ".wippy", modules, {"acme/sql": "../sql"}, unpack_modules=True)
    assert lock.vendor_directory == f"{root}/.wippy/vendor"
    assert lock_of(tmp_path, "directories: {modules: /opt/vendor}").vendor_directory == "/opt/vendor"


def test_no_lock_and_an_empty_lock(tmp_path: Path) -> None:
    assert read_lock(DISK, str(tmp_path / "wippy.lock")) is None
    assert lock_of(tmp_path, "") == Lock(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("directories:\n  src: ''\n", "directories.src cannot be empty", 2),
        ("directories:\n  modules: ''\n", "directories.modules cannot be empty", 2),
        ("modules:\n  - name: acme\n    version: v1\n", 'invalid module "acme": expected org/module', 2),
        ("modules:\n  - name: ../http\n    version: v1\n", 'invalid module "../http": expected org/module', 2),
        ("modules:\n  - name: acme/http\n", 'module "acme/http" has empty version', 2),
        ("replacements:\n  - to: x\n", "replacement has empty 'from' field", 2),
        ("replacements:\n  - from: a/b\n", "replacement \"a/b\" has empty 'to' field", 2),
        ("modules: 5\n", "modules must be a list of mappings", 1),
        ("- 5\n", "wippy.lock must be a mapping", 1),
    ],
)
def test_wrong_locks(tmp_path: Path, text: str, message: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        lock_of(tmp_path, text)
    assert str(caught.value) == message
    assert caught.value.position is not None
    assert caught.value.position.line == line


def test_load_order(tmp_path: Path) -> None:
    make(tmp_path, "src", "local/src", "flat", ".wippy/vendor/acme/http", ".wippy/vendor/acme/old-v1")
    lock = lock_of(
        tmp_path,
        "modules:\n  - {name: acme/http, version: v2}\n  - {name: acme/sql, version: v1}\n"
        "  - {name: acme/old, version: v1}\n"
        "replacements:\n  - {from: acme/sql, to: ./local}\n  - {from: acme/gone, to: ./nowhere}\n",
    )
    root = str(tmp_path)
    found = load_paths(DISK, lock, {"acme/flat": f"{root}/flat", "acme/gone": None})
    assert found == (
        LoadPath(f"{root}/src"),
        LoadPath(f"{root}/local/src", "acme/sql", "", f"{root}/local"),
        LoadPath(f"{root}/flat", "acme/flat", "", f"{root}/flat"),
        LoadPath(f"{root}/.wippy/vendor/acme/http", "acme/http", "v2", f"{root}/.wippy/vendor/acme/http"),
        LoadPath(f"{root}/.wippy/vendor/acme/old-v1", "acme/old", "v1", f"{root}/.wippy/vendor/acme/old-v1"),
    )


def test_sources_beside_the_lock(tmp_path: Path) -> None:
    assert load_paths(DISK, lock_of(tmp_path, ""), {}) == (LoadPath(str(tmp_path)),)


def test_modules_that_cannot_be_loaded(tmp_path: Path) -> None:
    make(tmp_path, "src", ".wippy/vendor/acme")
    lock = lock_of(tmp_path, "modules:\n  - {name: acme/http, version: v2}\n")
    with pytest.raises(ConfigError, match="acme/http v2 is not installed"):
        load_paths(DISK, lock, {})
    (tmp_path / ".wippy/vendor/acme/http-v2.wapp").touch()
    with pytest.raises(UnsupportedError, match="pack"):
        load_paths(DISK, lock, {})
    with pytest.raises(ConfigError, match="replacement path"):
        load_paths(DISK, lock, {"acme/http": str(tmp_path / "missing")})


def test_manifest(tmp_path: Path) -> None:
    assert read_manifest(DISK, str(tmp_path)) == Manifest()
    text = "exclude: ['app:*', 'test/**']\nexclude_meta: {type: [test, demo], env: dev}\n"
    (tmp_path / "wippy.yaml").write_text(text)
    assert read_manifest(DISK, str(tmp_path)) == Manifest(
        ("app:*",), ("test/**",), {"type": ("test", "demo"), "env": ("dev",)}
    )
