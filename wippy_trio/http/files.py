"""Serving one file: conditions, ranges, media type. Source: http/static, http/middleware#sendfile."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Protocol

import attrs

from wippy_trio.core.errors import NotFoundError
from wippy_trio.http.exchange import Exchange, respond_text
from wippy_trio.http.headers import Headers
from wippy_trio.http.response import Response
from wippy_trio.http.sniff import sniff_content_type, type_by_name

__all__ = ["FileInfo", "ServedFile", "ServedFiles", "find_file", "http_date", "safe_path", "serve_content"]

READ_BYTES = 64 * 1024
MAX_RANGES_COUNT = 16
_RANGE_BOUNDARY = "wippy_trio_byteranges_3d6b6a416f9b5"


@attrs.frozen(slots=True)
class FileInfo:
    """What serving needs to know of a file; `modified_ns` is Unix time, 0 where unknown."""

    size_bytes: int
    modified_ns: int
    is_dir: bool


class ServedFile(Protocol):
    """An open file."""

    async def seek(self, offset_bytes: int) -> None: ...
    async def read(self, max_bytes: int) -> bytes: ...
    async def aclose(self) -> None: ...


class ServedFiles(Protocol):
    """A file system to serve from; paths are relative, with `/`, empty for its root.

    Raises `NotFoundError` for what does not exist.
    """

    async def stat(self, path: str) -> FileInfo: ...
    async def open(self, path: str) -> ServedFile: ...
    async def list(self, path: str) -> list[str]: ...


def safe_path(path: str) -> str | None:
    """A request path as a relative path below the root; None where it tries to leave it or cannot be a file name."""
    if "\x00" in path or "\\" in path:
        return None
    pieces = [piece for piece in path.split("/") if piece not in ("", ".")]
    return None if ".." in pieces else "/".join(pieces)


async def find_file(files: ServedFiles, path: str) -> FileInfo | None:
    """What is at `path`, None where nothing is or the path is not safe."""
    inside = safe_path(path)
    if inside is None:
        return None
    try:
        return await files.stat(inside)
    except NotFoundError:
        return None


def http_date(modified_ns: int) -> str:
    """A time as HTTP writes it, in whole seconds."""
    return format_datetime(datetime.fromtimestamp(modified_ns // 10**9, UTC), usegmt=True)


def _entity_tag(info: FileInfo) -> str:
    return f'"{info.modified_ns:x}-{info.size_bytes:x}"'


async def serve_content(exchange: Exchange, files: ServedFiles, path: str, info: FileInfo) -> None:
    """Answer with a file: 200, 206, 304, 412 or 416. `path` must name an existing file.

    Raises:
        NotFoundError: the file vanished meanwhile.
    """
    inside = safe_path(path)
    assert inside is not None
    headers = exchange.response.headers
    file = await files.open(inside)
    try:
        if "Content-Type" not in headers:
            kind = type_by_name(inside)
            if not kind:
                kind = sniff_content_type(await file.read(512))
                await file.seek(0)
            headers.set("Content-Type", kind)
        if info.modified_ns:
            headers.set("Last-Modified", http_date(info.modified_ns))
            if "Etag" not in headers:
                headers.set("Etag", _entity_tag(info))
        status = _condition(exchange.request.method, exchange.request.headers, headers, info)
        if status == 304:
            headers.remove("Content-Type")
            headers.remove("Content-Length")
            exchange.response.set_status(304)
        elif status == 412:
            exchange.response.set_status(412)
        else:
            await _send_ranges(exchange, file, info)
    finally:
        await file.aclose()


def _matches(values: str, tag: str, *, weak: bool) -> bool:
    for value in values.split(","):
        value = value.strip()
        if value == "*":
            return True
        if weak:
            value = value.removeprefix("W/")
        if value == (tag.removeprefix("W/") if weak else tag):
            return True
    return False


def _seconds(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _later(modified_s: int, text: str) -> bool:
    limit_s = _seconds(text)
    return limit_s is not None and modified_s > limit_s


def _condition(method: str, request: Headers, response: Headers, info: FileInfo) -> int:
    """200, 304 or 412, from the request's conditions in the order RFC 9110 section 13.2.2 gives."""
    tag, modified_s = response.get("Etag"), info.modified_ns // 10**9
    if "If-Match" in request:
        if not _matches(request.get("If-Match"), tag, weak=False):
            return 412
    elif info.modified_ns and _later(modified_s, request.get("If-Unmodified-Since")):
        return 412
    if "If-None-Match" in request:
        if _matches(request.get("If-None-Match"), tag, weak=True):
            return 304 if method in ("GET", "HEAD") else 412
    elif method in ("GET", "HEAD") and info.modified_ns:
        limit = _seconds(request.get("If-Modified-Since"))
        if limit is not None and modified_s <= limit:
            return 304
    return 200


def _ranges(text: str, size: int) -> list[tuple[int, int]] | None:
    """Byte ranges as (start, length); empty for none wanted, None where none can be satisfied or read."""
    if not text:
        return []
    if not text.startswith("bytes="):
        return None
    found: list[tuple[int, int]] = []
    for part in text[6:].split(","):
        part = part.strip()
        if not part:
            continue
        first, dash, last = part.partition("-")
        first, last = first.strip(), last.strip()
        if not dash or not (first + last).isdecimal() or not (first + last).isascii():
            return None
        if not first:
            length = min(int(last), size)
            start = size - length
        else:
            start = int(first)
            stop = min(int(last), size - 1) if last else size - 1
            if last and int(last) < start:
                return None
            length = stop - start + 1
        if length > 0 and start < size:
            found.append((start, length))
    return found or None


async def _send_ranges(exchange: Exchange, file: ServedFile, info: FileInfo) -> None:
    request, response, size = exchange.request, exchange.response, info.size_bytes
    response.headers.set("Accept-Ranges", "bytes")
    wanted = request.headers.get("Range")
    condition = request.headers.get("If-Range")
    if condition and condition not in (response.headers.get("Etag"), response.headers.get("Last-Modified")):
        wanted = ""
    ranges = _ranges(wanted, size) if size else []
    if ranges is None:
        response.headers.set("Content-Range", f"bytes */{size}")
        await respond_text(exchange, 416, "invalid range: failed to overlap")
        return
    if len(ranges) > MAX_RANGES_COUNT or sum(length for _, length in ranges) > size:
        ranges = []  # asking for more than the whole is an attack or a mistake
    if len(ranges) > 1:
        await _send_many(exchange, file, ranges, size)
        return
    start, length = ranges[0] if ranges else (0, size)
    if ranges:
        response.headers.set("Content-Range", f"bytes {start}-{start + length - 1}/{size}")
    response.headers.set("Content-Length", str(length))
    response.set_status(206 if ranges else 200)
    if request.method != "HEAD":
        await _send_slice(response, file, start, length)


async def _send_many(exchange: Exchange, file: ServedFile, ranges: list[tuple[int, int]], size: int) -> None:
    response = exchange.response
    kind = response.headers.get("Content-Type")
    response.headers.set("Content-Type", f"multipart/byteranges; boundary={_RANGE_BOUNDARY}")
    response.set_status(206)
    if exchange.request.method == "HEAD":
        return
    for start, length in ranges:
        await response.write(
            f"\r\n--{_RANGE_BOUNDARY}\r\nContent-Range: bytes {start}-{start + length - 1}/{size}\r\n"
            f"Content-Type: {kind}\r\n\r\n".encode()
        )
        await _send_slice(response, file, start, length)
    await response.write(f"\r\n--{_RANGE_BOUNDARY}--\r\n".encode())


async def _send_slice(response: Response, file: ServedFile, start: int, length: int) -> None:
    await file.seek(start)
    while length > 0:
        data = await file.read(min(length, READ_BYTES))
        if not data:
            raise NotFoundError("file became shorter while it was served")
        length -= len(data)
        await response.write(data)
