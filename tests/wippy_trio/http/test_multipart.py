import pytest

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.body import Body, BodyTooLargeError
from wippy_trio.http.multipart import PartReader, encode_form, read_form

TYPE = "multipart/form-data; boundary=XX"
FORM = (
    b'preamble\r\n--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n'
    b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    b'--XX  \r\nContent-Disposition: form-data; name="f"; filename="../x/y.txt"\r\nContent-Type: text/x\r\n\r\n'
    b"line\r\n--X\r\nend\r\n--XX--\r\nepilogue"
)


def body_of(data: bytes, step: int) -> Body:
    pieces = [data[start : start + step] for start in range(0, len(data), step)]

    async def source() -> bytes:
        return pieces.pop(0) if pieces else b""

    return Body(source, -1)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
async def test_form_however_it_is_cut(step: int) -> None:
    values, files = await read_form(body_of(FORM, step), TYPE, limit_bytes=1000)
    assert values == {"a": ["one", ""]}
    [file] = files["f"]
    assert (file.filename, file.content, file.headers.get("Content-Type")) == ("y.txt", b"line\r\n--X\r\nend", "text/x")


async def test_unread_parts_are_skipped() -> None:
    reader = PartReader(body_of(FORM, 5), b"XX")
    names = []
    while (part := await reader.next_part()) is not None:
        names.append(part.name)
    assert names == ["a", "a", "f"]


async def test_caps() -> None:
    with pytest.raises(BodyTooLargeError):
        await read_form(body_of(FORM, 9), TYPE, limit_bytes=10)
    with pytest.raises(BodyTooLargeError):
        await read_form(body_of(FORM, 9), TYPE, limit_bytes=1000, part_limit_bytes=5)
    reader = PartReader(body_of(FORM, 9), b"XX", max_parts_count=2)
    await reader.next_part()
    await reader.next_part()
    with pytest.raises(InternalError):
        await reader.next_part()
    huge = b"--XX\r\nX: " + b"y" * 20_000 + b"\r\n\r\n\r\n--XX--"
    with pytest.raises(InternalError):
        await read_form(body_of(huge, 1000), TYPE, limit_bytes=10**6)


@pytest.mark.parametrize("data", [b"", b"--XX", b"--XXjunk\r\n\r\n", FORM[:-20]])
async def test_malformed(data: bytes) -> None:
    with pytest.raises(InternalError):
        await read_form(body_of(data, 100), TYPE, limit_bytes=1000)


@pytest.mark.parametrize("kind", ["text/plain", ""])
async def test_other_types(kind: str) -> None:
    with pytest.raises(InvalidError):
        await read_form(body_of(b"", 1), kind, limit_bytes=1)


async def test_boundary_is_needed() -> None:
    with pytest.raises(InternalError):
        await read_form(body_of(b"", 1), "multipart/form-data", limit_bytes=1)


async def test_what_the_writer_writes_the_reader_reads() -> None:
    data, kind = encode_form("b0", {"t": "x\ny", 'q"': "1"}, [("f", 'a"b.txt', b"\x00\xff\r\n--b")])
    values, files = await read_form(body_of(data, 11), kind, limit_bytes=1000)
    assert values == {"t": ["x\ny"], 'q"': ["1"]}
    [file] = files["f"]
    assert (file.filename, file.content) == ('a"b.txt', b"\x00\xff\r\n--b")
    assert file.headers.get("content-type") == "application/octet-stream"
