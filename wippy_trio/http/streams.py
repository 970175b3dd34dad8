"""Byte streams as Lua sees them: read, write, seek, stat, close, and scanners over them.

Modules hand such streams out (request bodies, responses, uploads, process pipes). Source: lua/core/stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from wippy_trio.core.errors import InternalError, InvalidError

__all__ = ["SCANNER_CLASS", "STREAM_CLASS", "ByteStream", "BytesStream", "Scanner", "SourceStream", "StreamInfo"]

#: Lua classes of the `stream` module: `call.handle(STREAM_CLASS, stream, close=stream.aclose)` hands a stream out.
#: A module that does so declares `needs=("stream",)`.
STREAM_CLASS: Final = "stream.Stream"
SCANNER_CLASS: Final = "stream.Scanner"

DEFAULT_READ_BYTES: Final = 32 * 1024
MAX_READ_BYTES: Final = 16 * 1024 * 1024
MAX_TOKEN_BYTES: Final = 64 * 1024
SPLITS: Final = ("lines", "words", "bytes", "runes")


@attrs.frozen(slots=True)
class StreamInfo:
    """What `stream:stat()` tells; `size_bytes` and `position_bytes` are -1 where unknown."""

    size_bytes: int
    position_bytes: int
    readable: bool
    writable: bool
    seekable: bool


class ByteStream:
    """A stream with nothing it can do; subclasses override what they can.

    Every operation raises `InternalError` after `aclose`.
    """

    readable = False
    writable = False
    seekable = False

    def __init__(self, size_bytes: int = -1) -> None:
        self.size_bytes = size_bytes
        self.closed = False

    def _check(self, able: bool, what: str) -> None:
        if self.closed:
            raise InternalError("stream is closed", retryable=False)
        if not able:
            raise InternalError(f"stream is not {what}", retryable=False)

    def check_readable(self) -> None:
        """Raises `InternalError` unless the stream can be read."""
        self._check(self.readable, "readable")

    async def read(self, max_bytes: int = 0) -> bytes | None:
        """The next bytes, at most `max_bytes` (0: 32 kB); None at the end."""
        self._check(self.readable, "readable")
        wanted = min(max_bytes, MAX_READ_BYTES) if max_bytes > 0 else DEFAULT_READ_BYTES
        return await self._read(wanted) or None

    async def write(self, data: bytes) -> int:
        """Write all of `data`; how many bytes that were."""
        self._check(self.writable, "writable")
        await self._write(data)
        return len(data)

    async def seek(self, whence: str = "set", offset_bytes: int = 0) -> int:
        """Move to an offset from `set`, `cur` or `end`; the new position."""
        self._check(self.seekable, "seekable")
        return await self._seek(whence, offset_bytes)

    async def flush(self) -> None:
        """Push buffered bytes on; nothing to do for most streams."""
        self._check(True, "flushable")

    async def stat(self) -> StreamInfo:
        """What is known of the stream."""
        self._check(True, "there")
        position = await self._seek("cur", 0) if self.seekable else -1
        return StreamInfo(self.size_bytes, position, self.readable, self.writable, self.seekable)

    async def aclose(self) -> None:
        """Release what is behind the stream; again is nothing."""
        if not self.closed:
            self.closed = True
            await self._close()

    async def _read(self, max_bytes: int) -> bytes:
        raise NotImplementedError

    async def _write(self, data: bytes) -> None:
        raise NotImplementedError

    async def _seek(self, whence: str, offset_bytes: int) -> int:
        raise NotImplementedError

    async def _close(self) -> None:
        return None


class SourceStream(ByteStream):
    """A readable stream over `await read(max_bytes)`, which gives `b""` at the end."""

    readable = True

    def __init__(
        self,
        read: Callable[[int], Awaitable[bytes]],
        close: Callable[[], Awaitable[None]] | None = None,
        size_bytes: int = -1,
    ) -> None:
        super().__init__(size_bytes)
        self._source = read
        self._closer = close

    async def _read(self, max_bytes: int) -> bytes:
        return await self._source(max_bytes)

    async def _close(self) -> None:
        if self._closer is not None:
            await self._closer()


class BytesStream(ByteStream):
    """A readable, seekable stream over bytes in memory (an uploaded file)."""

    readable = True
    seekable = True

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data
        self._position = 0

    async def _read(self, max_bytes: int) -> bytes:
        data = self._data[self._position : self._position + max_bytes]
        self._position += len(data)
        return data

    async def _seek(self, whence: str, offset_bytes: int) -> int:
        base = {"set": 0, "cur": self._position, "end": len(self._data)}[whence]
        if base + offset_bytes < 0:
            raise InternalError("negative position", retryable=False)
        self._position = base + offset_bytes
        return self._position


class Scanner:
    """Cuts a stream into tokens: lines without their ends, words, bytes or runes.

    Args:
        read: `await read(max_bytes)` gives bytes, None or `b""` at the end.
        split: one of `lines words bytes runes`.

    Raises:
        InvalidError: another split.
    """

    def __init__(self, read: Callable[[int], Awaitable[bytes | None]], split: str = "lines") -> None:
        if split not in SPLITS:
            raise InvalidError(f"invalid split type: {split}")
        self._read = read
        self._cut = {"lines": _line, "words": _word, "bytes": _byte, "runes": _rune}[split]
        self._buffer = bytearray()
        self._ended = False
        self._done = False
        self.token = b""
        self.error = ""

    async def scan(self) -> bool:
        """Advance to the next token; False at the end or after a failure (see `error`)."""
        self.token = b""
        while not self._done:
            found = self._cut(self._buffer, self._ended)
            if found is not None:
                self.token, used = found
                del self._buffer[:used]
                return True
            if self._ended:
                self._done = True
            elif len(self._buffer) >= MAX_TOKEN_BYTES:
                self._done, self.error = True, "bufio.Scanner: token too long"
            else:
                await self._fill()
        return False

    async def _fill(self) -> None:
        try:
            data = await self._read(4096)
        except InternalError as problem:
            self._done, self.error = True, str(problem)
            return
        self._ended = not data
        self._buffer += data or b""


_Cut = tuple[bytes, int] | None
_SPACES = b" \t\n\v\f\r"


def _line(buffer: bytearray, ended: bool) -> _Cut:
    found = buffer.find(b"\n")
    if found >= 0:
        return bytes(buffer[:found]).removesuffix(b"\r"), found + 1
    if ended and buffer:
        return bytes(buffer).removesuffix(b"\r"), len(buffer)
    return None


def _word(buffer: bytearray, ended: bool) -> _Cut:
    start = len(buffer) - len(buffer.lstrip(_SPACES))
    for index in range(start, len(buffer)):
        if buffer[index] in _SPACES:
            return bytes(buffer[start:index]), index + 1
    if ended and start < len(buffer):
        return bytes(buffer[start:]), len(buffer)
    del buffer[:start]
    return None


def _byte(buffer: bytearray, ended: bool) -> _Cut:
    del ended
    return (bytes(buffer[:1]), 1) if buffer else None


def _rune(buffer: bytearray, ended: bool) -> _Cut:
    if not buffer:
        return None
    lead = buffer[0]
    width = 1 if lead < 0x80 else 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if lead < 0xF5 else 1
    if 0x80 <= lead < 0xC2 or width == 1:
        return (bytes(buffer[:1]), 1) if lead < 0x80 else ("\ufffd".encode(), 1)
    if len(buffer) < width and not ended:
        return None
    try:
        bytes(buffer[:width]).decode()
    except UnicodeDecodeError:
        return "\ufffd".encode(), 1
    return bytes(buffer[:width]), width
