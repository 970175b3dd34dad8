from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from determinism.system import system_environment
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.fs import _root, check_directory
from wippy_trio.storage.files import Filesystem


def entry(meta: dict[str, object] | None = None, **data: object) -> Entry:
    return Entry(EntryId("app", "files"), "fs.directory", meta or {}, data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "directory path is required"),
        ({"directory": "x", "mode": "9"}, "invalid file mode format"),
        ({"directory": "x", "mode": -1}, "invalid file mode format"),
        ({"directory": "x", "base": "home"}, "invalid directory base"),
    ],
)
def test_bad_entries_are_refused(data, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check_directory(entry(**data))


@pytest.mark.parametrize(
    ("meta", "data", "expected"),
    [
        ({}, {"directory": "/abs"}, "/abs"),
        ({}, {"directory": "rel"}, "/project/rel"),
        ({"module": "acme/lib"}, {"directory": "rel"}, "/modules/lib/rel"),
        ({"module": "acme/lib"}, {"directory": "rel", "base": "module"}, "/modules/lib/rel"),
        ({"module": "acme/lib"}, {"directory": "rel", "base": "project"}, "/project/rel"),
        ({"module": "acme/lib"}, {"directory": "/abs"}, "/abs"),
        ({"module": "acme/unknown"}, {"directory": "rel"}, "/project/rel"),
    ],
)
def test_where_a_directory_is(meta, data, expected) -> None:
    runtime: Any = SimpleNamespace(
        environment=system_environment(),
        config=SimpleNamespace(project_dir="/project"),
        extras={"module_roots": {"acme/lib": "/modules/lib"}},
    )
    assert _root(entry(meta, **data), runtime) == expected


async def test_a_volume_lives_with_its_entry(app, tmp_path, autojump_clock) -> None:
    async with app(f"- {{name: files, kind: fs.directory, directory: {tmp_path}/a/b, auto_init: true}}") as running:
        files = running.runtime.resources.get("app:files", Filesystem)
        await files.write_file("f", b"x")
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"x"
