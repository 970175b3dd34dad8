import pytest

from wippy_trio.core.errors import InternalError
from wippy_trio.http.body import Body, BodyTooLargeError, bytes_source


async def test_read_all_and_once_only() -> None:
    body = Body(bytes_source(b"hello"), 5)
    assert await body.read_all(5) == b"hello"
    with pytest.raises(InternalError):
        await body.read_all(5)


async def test_empty_body_reads_empty_again_and_again() -> None:
    body = Body()
    assert await body.read_all(0) == b""
    assert await body.read_all(0) == b""


async def test_limit_by_announcement_and_by_bytes() -> None:
    with pytest.raises(BodyTooLargeError):
        await Body(bytes_source(b"hello"), 5).read_all(4)
    with pytest.raises(BodyTooLargeError):
        await Body(bytes_source(b"hello"), -1).read_all(4)


async def test_reads_are_cut_to_size() -> None:
    body = Body(bytes_source(b"abcdef"), -1)
    assert [await body.read(4) for _ in range(3)] == [b"abcd", b"ef", b""]
    assert body.ended


async def test_discard_is_bounded() -> None:
    pieces = [b"x" * 10] * 10

    async def source() -> bytes:
        return pieces.pop() if pieces else b""

    assert not await Body(source, -1).discard(35)
    assert len(pieces) == 6
