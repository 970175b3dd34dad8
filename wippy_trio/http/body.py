"""A message body as a stream of bytes with limits. Source: lua/http/http (body, stream), spec lua/http."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from wippy_trio.core.errors import InternalError, InvalidError

__all__ = ["EMPTY_BODY_SOURCE", "Body", "BodyTooLargeError", "bytes_source"]

DEFAULT_CHUNK_BYTES = 32 * 1024

BodySource = Callable[[], Awaitable[bytes]]


class BodyTooLargeError(InvalidError):
    """A body is longer than its reader allows."""


async def _no_bytes() -> bytes:
    await trio.lowlevel.checkpoint()
    return b""


EMPTY_BODY_SOURCE: BodySource = _no_bytes


def bytes_source(data: bytes) -> BodySource:
    """A source that yields `data` once."""
    rest = [data] if data else []

    async def source() -> bytes:
        await trio.lowlevel.checkpoint()
        return rest.pop() if rest else b""

    return source


class Body:
    """Bytes that arrive; read by one task at a time.

    Args:
        source: `await source()` gives the next bytes, `b""` at the end.
        announced_bytes: length announced, 0 for no body, -1 where unknown.
    """

    __slots__ = ("_closed", "_ended", "_pending", "_source", "announced_bytes", "received_bytes")

    def __init__(self, source: BodySource = EMPTY_BODY_SOURCE, announced_bytes: int = 0) -> None:
        self._source = source
        self._pending = b""
        self._closed = False
        self._ended = announced_bytes == 0
        self.announced_bytes = announced_bytes
        self.received_bytes = 0

    @property
    def ended(self) -> bool:
        """Whether the last byte has been read."""
        return self._ended and not self._pending

    async def read(self, max_bytes: int = DEFAULT_CHUNK_BYTES) -> bytes:
        """The next 1 to `max_bytes` bytes; `b""` at the end.

        Raises:
            InternalError: the body was closed, or the connection broke.
        """
        if self._closed:
            if self.announced_bytes == 0:
                return b""
            raise InternalError("http: invalid Read on closed Body")
        if not self._pending and not self._ended:
            self._pending = await self._source()
            self.received_bytes += len(self._pending)
            self._ended = not self._pending
        data, self._pending = self._pending[:max_bytes], self._pending[max_bytes:]
        return data

    async def read_all(self, limit_bytes: int) -> bytes:
        """The whole rest, then closed: a second reading fails.

        Raises:
            BodyTooLargeError: longer than `limit_bytes`.
        """
        if self.announced_bytes > limit_bytes:
            raise BodyTooLargeError("request body too large")
        try:
            parts = bytearray()
            while data := await self.read(limit_bytes + 1 - len(parts)):
                parts += data
                if len(parts) > limit_bytes:
                    raise BodyTooLargeError("request body too large")
            return bytes(parts)
        finally:
            self._closed = True

    async def discard(self, limit_bytes: int) -> bool:
        """Read and drop the rest, at most `limit_bytes`; whether the end was reached."""
        self._pending, dropped = b"", 0
        while not self._ended and dropped <= limit_bytes:
            data = await self._source()
            dropped += len(data)
            self._ended = not data
        return self._ended

    def close(self) -> None:
        """Refuse further reading; what is left on the wire is the engine's to drop."""
        self._closed = True
