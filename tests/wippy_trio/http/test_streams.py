from collections.abc import Awaitable, Callable

import pytest

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.streams import BytesStream, Scanner, SourceStream, StreamInfo


def reader(data: bytes, step: int) -> Callable[[int], Awaitable[bytes]]:
    pieces = [data[start : start + step] for start in range(0, len(data), step)]

    async def read(max_bytes: int) -> bytes:
        return pieces.pop(0) if pieces else b""

    return read


async def test_bytes_stream() -> None:
    stream = BytesStream(b"0123456789")
    assert await stream.read(4) == b"0123"
    assert await stream.seek("cur", 2) == 6
    assert await stream.stat() == StreamInfo(10, 6, True, False, True)
    assert await stream.seek("end", -1) == 9
    assert await stream.read() == b"9"
    assert await stream.read() is None
    with pytest.raises(InternalError):
        await stream.seek("set", -1)
    with pytest.raises(InternalError, match="not writable"):
        await stream.write(b"x")
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(InternalError, match="closed"):
        await stream.read()


async def test_source_stream() -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    stream = SourceStream(reader(b"abcdef", 4), close, 6)
    assert [await stream.read(), await stream.read(), await stream.read()] == [b"abcd", b"ef", None]
    assert (await stream.stat()).size_bytes == 6
    with pytest.raises(InternalError, match="not seekable"):
        await stream.seek()
    await stream.aclose()
    await stream.aclose()
    assert closed == [True]


async def tokens(data: bytes, split: str, step: int) -> list[bytes]:
    scanner = Scanner(reader(data, step), split)
    found = []
    while await scanner.scan():
        found.append(scanner.token)
    assert not await scanner.scan()
    assert scanner.error == ""
    return found


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize(
    ("split", "data", "found"),
    [
        ("lines", b"a\r\n\nb\nlast", [b"a", b"", b"b", b"last"]),
        ("lines", b"a\n", [b"a"]),
        ("lines", b"", []),
        ("words", b"  one two\n\tthree ", [b"one", b"two", b"three"]),
        ("bytes", b"ab", [b"a", b"b"]),
        ("runes", "aé€😀".encode(), [b"a", "é".encode(), "€".encode(), "😀".encode()]),
        ("runes", b"\xffa\xe2\x82", ["\ufffd".encode(), b"a", "\ufffd".encode(), "\ufffd".encode()]),
    ],
)
async def test_scanner(step: int, split: str, data: bytes, found: list[bytes]) -> None:
    assert await tokens(data, split, step) == found


async def test_scanner_refusals() -> None:
    with pytest.raises(InvalidError):
        Scanner(reader(b"", 1), "chars")
    scanner = Scanner(reader(b"x" * 100_000, 4096))
    assert not await scanner.scan()
    assert scanner.error == "bufio.Scanner: token too long"

    async def broken(max_bytes: int) -> bytes:
        raise InternalError("broken")

    scanner = Scanner(broken)
    assert not await scanner.scan()
    assert scanner.error == "broken"
