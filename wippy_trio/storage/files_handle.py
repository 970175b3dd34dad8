"""An open file, and a scanner that cuts it into tokens. Source: docs lua/storage/filesystem."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from determinism.seams import Environment
from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.turns import Turn

if TYPE_CHECKING:
    from wippy_trio.storage.files import FileInfo

__all__ = ["FileHandle", "Scanner", "Split", "Whence"]

T = TypeVar("T")
_TOKEN_MAX_BYTES = 64 * 1024
_SCAN_CHUNK_BYTES = 4096


class Whence(Enum):
    """Where a seek counts from; the value is the system's number."""

    SET = 0
    CUR = 1
    END = 2


class Split(Enum):
    """What a scanner's tokens are."""

    LINES = "lines"
    WORDS = "words"
    BYTES = "bytes"
    RUNES = "runes"


class FileHandle:
    """An open file. Operations run in worker threads, one at a time; whoever opened it closes it.

    Every operation but `close` raises `StorageError` once closed.
    """

    def __init__(self, environment: Environment, file: BinaryIO, info: Callable[[], FileInfo], lane: str) -> None:
        self._environment = environment
        self._file = file
        self._info = info
        self._lane = lane
        self._turn = Turn("file", environment.clock)

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    async def read(self, size_bytes: int) -> bytes:
        """Up to `size_bytes`; empty at the end.

        Raises:
            InvalidError: `size_bytes` is not positive.
        """
        if size_bytes <= 0:
            raise InvalidError("size must be positive")
        return await self._threaded(lambda: self._file.read(size_bytes), "read failed")

    async def write(self, data: bytes) -> None:
        """Write all of `data`; others see it at once."""
        await self._threaded(lambda: self.write_blocking(data), "write failed")

    async def seek(self, offset_bytes: int, whence: Whence) -> int:
        """Move; the new position from the start."""
        return await self._threaded(lambda: self._file.seek(offset_bytes, whence.value), "seek failed")

    async def sync(self) -> None:
        """Make everything written durable: it survives a loss of power from then on."""
        await self._threaded(lambda: self._environment.disk.sync(self._file), "sync failed")

    async def stat(self) -> FileInfo:
        """Facts of the file."""
        return await self._threaded(self._info, "stat failed")

    async def close(self) -> None:
        """Close; may be called again."""
        async with self._turn.held():
            if not self._file.closed:
                await self._environment.threads.run(_failing_as, "close failed", self._file.close, lane=self._lane)

    def scanner(self, split: Split) -> Scanner:
        """A scanner from the present position.

        Raises:
            InvalidError: closed.
        """
        if self._file.closed:
            raise InvalidError("file is closed")
        return Scanner(self, split)

    def write_blocking(self, data: bytes) -> None:
        """`write`, in a worker thread."""
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._file.flush()

    def close_blocking(self) -> None:
        """`close`, in a worker thread or where blocking does no harm."""
        self._file.close()

    async def _threaded(self, work: Callable[[], T], failure: str) -> T:
        async with self._turn.held():
            if self._file.closed:
                raise StorageError(f"{failure}: file already closed")
            return await self._environment.threads.run(_failing_as, failure, work, lane=self._lane)


def _failing_as(failure: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except OSError as error:  # io.UnsupportedOperation, e.g. a read from a file opened for writing, is one of them
        raise StorageError(f"{failure}: {(error.strerror or str(error)).lower()}") from None


class Scanner:
    """Cuts a file into tokens of at most 64 KB; a longer one ends the scan with an error."""

    def __init__(self, handle: FileHandle, split: Split) -> None:
        self._handle = handle
        self._cut = _CUTTERS[split]
        self._data = bytearray()
        self._at_end = False
        self._over = False

    async def scan_many(self, limit_count: int) -> list[bytes]:
        """The next tokens, up to `limit_count`, as many as one read gives; empty at the end.

        Raises:
            StorageError: a token too long, or the file could not be read.
        """
        tokens: list[bytes] = []
        while not self._over:
            self._take_tokens(tokens, limit_count)
            if tokens:
                break
            if self._at_end:
                self._over = True
            else:
                await self._fill()
        return tokens

    def _take_tokens(self, tokens: list[bytes], limit_count: int) -> None:
        position = 0
        while len(tokens) < limit_count:
            advance, token = self._cut(self._data, position, self._at_end)
            if advance == position:
                break
            position = advance
            if token is not None:
                tokens.append(token)
        del self._data[:position]

    async def _fill(self) -> None:
        if len(self._data) >= _TOKEN_MAX_BYTES:
            self._over = True
            raise StorageError("bufio.Scanner: token too long")
        try:
            chunk = await self._handle.read(_SCAN_CHUNK_BYTES)
        except StorageError:
            self._over = True
            raise
        self._at_end = not chunk
        self._data += chunk


#: Reads one token at a position: where to go on (the same position: more data is needed) and the token, if any.
_Cutter = Callable[[bytearray, int, bool], tuple[int, bytes | None]]
_BLANKS = {text.encode() for text in "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"} | {
    chr(code).encode() for code in range(0x2000, 0x200B)
}


def _cut_line(data: bytearray, start: int, at_end: bool) -> tuple[int, bytes | None]:
    end = data.find(b"\n", start)
    if end < 0:
        if not at_end or start == len(data):
            return start, None
        return len(data), bytes(data[start:]).removesuffix(b"\r")
    return end + 1, bytes(data[start:end]).removesuffix(b"\r")


def _cut_byte(data: bytearray, start: int, at_end: bool) -> tuple[int, bytes | None]:
    if start == len(data):
        return start, None
    return start + 1, bytes(data[start : start + 1])


def _rune_at(data: bytearray, start: int, at_end: bool) -> bytes | None:
    """The UTF-8 character at `start`; None where more data is needed. A wrong byte stands alone."""
    lead = data[start]
    size = 1 if lead < 0xC2 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4 if lead < 0xF5 else 1
    piece = bytes(data[start : start + size])
    try:
        piece.decode()
    except UnicodeDecodeError as error:
        if len(piece) < size and not at_end and "unexpected end" in error.reason:
            return None
        return piece[:1]
    return piece


def _cut_rune(data: bytearray, start: int, at_end: bool) -> tuple[int, bytes | None]:
    if start == len(data):
        return start, None
    rune = _rune_at(data, start, at_end)
    if rune is None:
        return start, None
    is_wrong = len(rune) == 1 and rune[0] >= 0x80
    return start + len(rune), "\N{REPLACEMENT CHARACTER}".encode() if is_wrong else rune


def _cut_word(data: bytearray, start: int, at_end: bool) -> tuple[int, bytes | None]:
    position, word = start, bytearray()
    while position < len(data):
        rune = _rune_at(data, position, at_end)
        if rune is None:
            break
        position += len(rune)
        if rune not in _BLANKS:
            word += rune
        elif word:
            return position, bytes(word)
        else:
            start = position  # leading blanks are done with
    if at_end and word:
        return position, bytes(word)
    return start, None


_CUTTERS: dict[Split, _Cutter] = {
    Split.LINES: _cut_line,
    Split.WORDS: _cut_word,
    Split.BYTES: _cut_byte,
    Split.RUNES: _cut_rune,
}
