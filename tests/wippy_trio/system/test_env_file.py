from __future__ import annotations

from pathlib import Path

import pytest
import trio

from determinism.system import system_environment
from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.system.env_file import FileStorage


def file_storage(path: Path, **options: int) -> FileStorage:
    return FileStorage(system_environment(), str(path), **options)  # type: ignore[arg-type]


async def test_a_file_is_rewritten_with_its_other_lines_kept(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("# top\n\nA = 1  # one\nB=x=y\n  C =  \nnoise\nA=2\n")
    storage = file_storage(path)
    assert await storage.list() == {"A": "2", "B": "x=y", "C": ""}
    assert await storage.get("A") == "1", "the first line of a name is read"
    await storage.set("A", "9")
    await storage.set("D", "new")
    assert path.read_text() == "# top\n\nA=9 # one\nB=x=y\n  C =  \nnoise\nA=9\nD=new\n"
    await storage.delete("A")
    assert path.read_text() == "# top\n\nB=x=y\n  C =  \nnoise\nD=new\n"
    assert await storage.get("") is None
    assert system_environment().disk.list(str(tmp_path)) == ["app.env"]


async def test_a_line_break_cannot_forge_another_variable(tmp_path: Path) -> None:
    storage = file_storage(tmp_path / "a.env", auto_create=True)
    with pytest.raises(InvalidError, match="line break"):
        await storage.set("A", "1\nADMIN=yes")
    assert await storage.list() == {}


async def test_a_missing_file_reads_as_empty_and_is_made_only_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "app.env"
    storage = file_storage(path)
    assert await storage.get("A") is None
    with pytest.raises(UnavailableError, match="cannot read environment file"):
        await storage.set("A", "1")
    await file_storage(path, auto_create=True, file_mode=0o600, dir_mode=0o700).set("A", "1")
    assert path.read_text() == "A=1\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidError, match="file path must not be empty"):
        FileStorage(system_environment(), "")


async def test_concurrent_writes_lose_nothing(tmp_path: Path) -> None:
    storage = file_storage(tmp_path / "app.env", auto_create=True)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(storage.set, f"K{number}", str(number))
    assert await storage.list() == {f"K{number}": str(number) for number in range(8)}
