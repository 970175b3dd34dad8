from __future__ import annotations

import pytest
import trio

from determinism.system import system_environment
from wippy_trio.core.errors import (
    AlreadyExistsError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.files import DirEntry, Filesystem, OpenMode, resolve_path
from wippy_trio.storage.files_handle import Split, Whence


@pytest.fixture
def files(tmp_path):
    (tmp_path / "root").mkdir()
    return Filesystem(system_environment(), str(tmp_path / "root"))


@pytest.mark.parametrize(
    ("path", "where", "expected"),
    [
        ("/", ".", "."),
        ("", "a", "a"),
        ("a/b", ".", "a/b"),
        ("/a/b", "c", "a/b"),
        ("//a", ".", "a"),
        ("b", "a", "a/b"),
        ("../b", "a", "b"),
        ("a/../b/./c//d/", ".", "b/c/d"),
        ("..x", ".", "..x"),
    ],
)
def test_resolve_path(path, where, expected) -> None:
    assert resolve_path(path, where) == expected


@pytest.mark.parametrize("path", ["..", "../a", "a/../../b", "/../etc", "..\\x", "a\0b"])
def test_resolve_path_refuses(path) -> None:
    with pytest.raises(InvalidError, match=r"path traversal not allowed|path contains null byte"):
        resolve_path(path)


async def test_write_read_append_exclusive(files) -> None:
    await files.write_file("a.txt", b"one")
    await files.write_file("a.txt", b"\xfftwo", OpenMode.APPEND)
    assert await files.read_file("a.txt") == b"one\xfftwo"
    await files.write_file("a.txt", b"")
    assert await files.read_file("a.txt") == b""
    with pytest.raises(AlreadyExistsError):
        await files.write_file("a.txt", b"x", OpenMode.EXCLUSIVE)
    with pytest.raises(NotFoundError):
        await files.read_file("none")
    with pytest.raises(StorageError, match="is a directory"):
        await files.read_file(".")


async def test_stat_exists_and_directories(files) -> None:
    await files.make_directory("d")
    await files.write_file("d/f", b"12345")
    info = await files.stat("d/f")
    assert (info.name, info.size_bytes, info.is_dir, info.mode) == ("f", 5, False, 0o644)
    assert info.modified_s > 1_600_000_000
    top = await files.stat(".")
    assert (top.name, top.is_dir, top.mode >> 31) == (".", True, 1)
    assert await files.exists("d")
    assert not await files.exists("d/none")
    assert await files.read_directory("d") == [DirEntry("f", is_dir=False)]
    assert await files.read_directory(".") == [DirEntry("d", is_dir=True)]
    with pytest.raises(InvalidError, match="not a directory: d/f"):
        await files.read_directory("d/f")
    with pytest.raises(AlreadyExistsError):
        await files.make_directory("d")
    with pytest.raises(NotFoundError):
        await files.make_directory("no/parent")


async def test_remove_and_rename(files) -> None:
    await files.make_directory("d")
    await files.write_file("d/f", b"")
    with pytest.raises(InvalidError, match="directory not empty: d"):
        await files.remove("d")
    await files.rename("d/f", "g")
    await files.remove("d")
    await files.remove("g")
    with pytest.raises(NotFoundError):
        await files.remove("g")


async def test_symbolic_links_do_not_lead_out(files, tmp_path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "inside").write_text("inside")
    (tmp_path / "root" / "good").symlink_to("inside")
    (tmp_path / "root" / "bad").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "up").symlink_to("..")
    (tmp_path / "root" / "dangling").symlink_to("nowhere")
    assert await files.read_file("good") == b"inside"
    for work in (
        lambda: files.read_file("bad"),
        lambda: files.read_file("up/secret"),
        lambda: files.write_file("up/new", b""),
        lambda: files.stat("up"),
        lambda: files.remove("up/secret"),
        lambda: files.rename("inside", "up/inside"),
        lambda: files.make_directory("up/d"),
    ):
        with pytest.raises(PermissionDeniedError, match="escapes"):
            await work()
    assert {entry.name: entry.is_dir for entry in await files.read_directory(".")} == {
        "bad": False,
        "dangling": False,
        "good": False,
        "inside": False,
        "up": False,
    }
    await files.remove("bad")  # the link goes, what it points to stays
    assert (tmp_path / "secret").exists()


async def test_mode_restricts_operations_and_new_files(tmp_path) -> None:
    (tmp_path / "f").write_text("x")
    readable = Filesystem(system_environment(), str(tmp_path), mode=0o444)
    assert await readable.read_file("f") == b"x"
    assert await readable.read_directory(".") != []
    for work in (
        lambda: readable.write_file("g", b""),
        lambda: readable.make_directory("d"),
        lambda: readable.remove("f"),
        lambda: readable.rename("f", "g"),
    ):
        with pytest.raises(PermissionDeniedError):
            await work()
    private = Filesystem(system_environment(), str(tmp_path), mode=0o700)
    await private.write_file("g", b"")
    assert (await private.stat("g")).mode == 0o600


async def test_open_root(tmp_path) -> None:
    missing = Filesystem(system_environment(), str(tmp_path / "a" / "b"))
    with pytest.raises(NotFoundError):
        await missing.open_root()
    await missing.open_root(auto_init=True)
    await missing.open_root(auto_init=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not a directory"):
        await Filesystem(system_environment(), str(tmp_path / "file")).open_root()


async def test_closed_filesystem(files) -> None:
    files.close_now()
    with pytest.raises(UnavailableError, match="filesystem is closed"):
        await files.stat(".")


async def test_handle_reads_writes_and_seeks(files) -> None:
    writer = await files.open("f", OpenMode.WRITE)
    await writer.write(b"hello ")
    assert await files.read_file("f") == b"hello "  # seen at once
    await writer.write(b"world")
    await writer.sync()
    assert (await writer.stat()).size_bytes == 11
    with pytest.raises(StorageError, match="read failed"):
        await writer.read(1)
    await writer.close()
    await writer.close()
    with pytest.raises(StorageError, match="write failed: file already closed"):
        await writer.write(b"x")

    reader = await files.open("f", OpenMode.READ)
    assert await reader.read(5) == b"hello"
    assert await reader.seek(-5, Whence.END) == 6
    assert await reader.read(100) == b"world"
    assert await reader.read(100) == b""
    assert await reader.seek(0, Whence.SET) == 0
    assert await reader.seek(2, Whence.CUR) == 2
    with pytest.raises(StorageError, match="seek failed"):
        await reader.seek(-1, Whence.SET)
    with pytest.raises(StorageError, match="write failed"):
        await reader.write(b"x")
    with pytest.raises(InvalidError, match="size must be positive"):
        await reader.read(0)
    await reader.close()
    with pytest.raises(InvalidError, match="file is closed"):
        reader.scanner(Split.LINES)


async def scanned(files, data: bytes, split: Split, limit_count: int = 100) -> list[bytes]:
    await files.write_file("f", data)
    handle = await files.open("f", OpenMode.READ)
    scanner = handle.scanner(split)
    tokens: list[bytes] = []
    while batch := await scanner.scan_many(limit_count):
        tokens += batch
    assert await scanner.scan_many(limit_count) == []
    await handle.close()
    return tokens


@pytest.mark.parametrize("limit_count", [1, 100])
@pytest.mark.parametrize(
    ("split", "data", "expected"),
    [
        (Split.LINES, b"a\nb\r\n\nlast", [b"a", b"b", b"", b"last"]),
        (Split.LINES, b"a\n", [b"a"]),
        (Split.LINES, b"", []),
        (Split.WORDS, b"  one\ttwo\n three ", [b"one", b"two", b"three"]),
        (Split.WORDS, "a\u00a0b\u2003ü".encode(), [b"a", b"b", "ü".encode()]),
        (Split.BYTES, "aé".encode(), [b"a", b"\xc3", b"\xa9"]),
        (Split.RUNES, "aé€😀".encode(), [b"a", "é".encode(), "€".encode(), "😀".encode()]),
        (Split.RUNES, b"a\xffb\xe2\x82", [b"a", b"\xef\xbf\xbd", b"b", b"\xef\xbf\xbd", b"\xef\xbf\xbd"]),
    ],
)
async def test_scanner_tokens(files, split, data, expected, limit_count) -> None:
    assert await scanned(files, data, split, limit_count) == expected


async def test_scanner_across_chunks(files) -> None:
    lines = [b"x" * size for size in (1, 4095, 4096, 4097, 60_000, 0, 3)]
    assert await scanned(files, b"\n".join(lines), Split.LINES) == lines
    assert await scanned(files, ("é" * 5000).encode(), Split.RUNES) == ["é".encode()] * 5000


async def test_scanner_refuses_tokens_beyond_64_kb(files) -> None:
    await files.write_file("f", b"ok\n" + b"x" * 70_000)
    handle = await files.open("f", OpenMode.READ)
    scanner = handle.scanner(Split.LINES)
    assert await scanner.scan_many(1) == [b"ok"]
    with pytest.raises(StorageError, match="token too long"):
        await scanner.scan_many(1)
    assert await scanner.scan_many(1) == []
    await handle.close()


async def test_one_handle_used_by_two_tasks(files) -> None:
    handle = await files.open("f", OpenMode.APPEND)
    async with trio.open_nursery() as nursery:
        for letter in (b"a", b"b"):
            nursery.start_soon(handle.write, letter * 1000)
    await handle.close()
    assert await files.read_file("f") in {b"a" * 1000 + b"b" * 1000, b"b" * 1000 + b"a" * 1000}
