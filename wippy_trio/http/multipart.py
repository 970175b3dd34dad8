"""multipart/form-data: a streaming reader with caps per part, a form collector, and a writer for the client.

Source: lua/http/http (parse_multipart), lua/http/client (files).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.body import Body, BodyTooLargeError
from wippy_trio.http.headers import Headers, parse_media_type

__all__ = ["FormFile", "Part", "PartReader", "encode_form", "multipart_boundary", "read_form"]

PART_HEADER_BYTES = 16 * 1024
MAX_PARTS_COUNT = 1000
READ_BYTES = 64 * 1024


def multipart_boundary(content_type: str) -> bytes:
    """The boundary of a `multipart/form-data` Content-Type.

    Raises:
        InvalidError: another type.
        InternalError: the boundary is missing or longer than 70 characters.
    """
    kind, parameters = parse_media_type(content_type)
    if kind != "multipart/form-data":
        raise InvalidError("content type is not multipart/form-data")
    boundary = parameters.get("boundary", "")
    if not 1 <= len(boundary) <= 70:
        raise InternalError("no multipart boundary param in Content-Type", retryable=False)
    return boundary.encode("utf-8", "surrogateescape")


@attrs.frozen(slots=True)
class Part:
    """The head of one part: field name, file name (None for a plain value) and header fields."""

    name: str
    filename: str | None
    headers: Headers = attrs.field(eq=False)


class PartReader:
    """Reads a multipart body part by part, holding at most one read of 64 kB and one part head.

    `await next_part()` gives a part's head, then `await read()` its content; what is left unread of it is skipped.

    Args:
        body: the message body.
        boundary: as `multipart_boundary` gives it.
        max_parts_count: bound on the parts.
    """

    def __init__(self, body: Body, boundary: bytes, max_parts_count: int = MAX_PARTS_COUNT) -> None:
        self._body = body
        self._mark = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first boundary has no line break before it
        self._in_part = False
        self._left_count = max_parts_count
        self._began = False

    async def next_part(self) -> Part | None:
        """The next part's head, None after the last part.

        Raises:
            InternalError: the body is not well-formed, or has too many parts.
        """
        if not self._began:
            self._began = True
            await self._skip_to_boundary()
        while await self.read():
            pass
        if not await self._begin_part():
            return None
        self._left_count -= 1
        if self._left_count < 0:
            raise InternalError("multipart: message too large", retryable=False)
        return await self._read_head()

    async def read(self) -> bytes:
        """The next bytes of the current part, `b""` at its end."""
        while self._in_part:
            found = self._buffer.find(self._mark)
            if found >= 0:
                self._in_part = False
                data = bytes(self._buffer[:found])
                del self._buffer[: found + len(self._mark)]
                return data
            safe = len(self._buffer) - len(self._mark) + 1
            if safe > 0:
                data = bytes(self._buffer[:safe])
                del self._buffer[:safe]
                return data
            await self._more()
        return b""

    async def _more(self) -> None:
        data = await self._body.read(READ_BYTES)
        if not data:
            raise InternalError("multipart: NextPart: EOF", retryable=False)
        self._buffer += data

    async def _skip_to_boundary(self) -> None:
        while (found := self._buffer.find(self._mark)) < 0:
            del self._buffer[: max(len(self._buffer) - len(self._mark) + 1, 0)]
            await self._more()
        del self._buffer[: found + len(self._mark)]

    async def _begin_part(self) -> bool:
        """After a boundary: `--` ends the form, a line break begins a part."""
        while len(self._buffer) < 2:
            await self._more()
        if self._buffer.startswith(b"--"):
            return False
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > PART_HEADER_BYTES:
                raise InternalError("multipart: malformed boundary line", retryable=False)
            await self._more()
        if bytes(self._buffer[:end]).strip(b" \t"):
            raise InternalError("multipart: malformed boundary line", retryable=False)
        del self._buffer[:end]
        return True

    async def _read_head(self) -> Part:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > PART_HEADER_BYTES:
                raise InternalError("multipart: part headers too large", retryable=False)
            await self._more()
        headers = Headers()
        for line in bytes(self._buffer[:end]).decode("utf-8", "surrogateescape").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                headers.add(name.strip(), value.strip())
        # The break before the body belongs to a boundary that may follow at once.
        del self._buffer[: end + 2]
        if not self._buffer.startswith(self._mark):
            await self._need(len(self._mark) + 2)
        if not self._buffer.startswith(self._mark):
            del self._buffer[:2]
        self._in_part = True
        _, parameters = parse_media_type(headers.get("Content-Disposition"))
        filename = parameters.get("filename")
        return Part(parameters.get("name", ""), _base_name(filename) if filename else None, headers)

    async def _need(self, count: int) -> None:
        while len(self._buffer) < count:
            data = await self._body.read(READ_BYTES)
            if not data:
                return
            self._buffer += data


def _base_name(filename: str) -> str:
    """The last path segment: a client may not choose a directory."""
    return filename.rstrip("/").rpartition("/")[2]


@attrs.frozen(slots=True)
class FormFile:
    """An uploaded file, held in memory. `headers` are its part's header fields."""

    filename: str
    content: bytes = attrs.field(repr=False)
    headers: Headers = attrs.field(eq=False, repr=False)


async def read_form(
    body: Body, content_type: str, *, limit_bytes: int, part_limit_bytes: int | None = None
) -> tuple[dict[str, list[str]], dict[str, list[FormFile]]]:
    """Read a whole form into values and files by field name.

    Args:
        body: the request body.
        content_type: its Content-Type with the boundary.
        limit_bytes: cap on the sum of all contents.
        part_limit_bytes: cap on each part; the sum's cap alone without it.

    Raises:
        InvalidError: not a multipart form.
        BodyTooLargeError: a cap was passed.
        InternalError: malformed.
    """
    reader = PartReader(body, multipart_boundary(content_type))
    values: dict[str, list[str]] = {}
    files: dict[str, list[FormFile]] = {}
    left = limit_bytes
    while (part := await reader.next_part()) is not None:
        content = bytearray()
        cap = left if part_limit_bytes is None else min(left, part_limit_bytes)
        while data := await reader.read():
            content += data
            if len(content) > cap:
                raise BodyTooLargeError("multipart: message too large")
        left -= len(content)
        if not part.name:
            continue
        if part.filename is None:
            values.setdefault(part.name, []).append(content.decode("utf-8", "surrogateescape"))
        else:
            files.setdefault(part.name, []).append(FormFile(part.filename, bytes(content), part.headers))
    return values, files


def encode_form(boundary: str, fields: Mapping[str, str], files: Iterable[tuple[str, str, bytes]]) -> tuple[bytes, str]:
    """A multipart body and its Content-Type.

    Args:
        boundary: a random token.
        fields: plain values by name.
        files: field name, file name and content of each; sent as `application/octet-stream`, as the reference does.
    """
    out = bytearray()
    for name, value in fields.items():
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n'.encode()
        out += value.encode("utf-8", "surrogateescape") + b"\r\n"
    for name, filename, content in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"; filename="{_quote(filename)}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        out += head.encode("utf-8", "surrogateescape") + content + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return bytes(out), f"multipart/form-data; boundary={boundary}"


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "%0D").replace("\n", "%0A")
