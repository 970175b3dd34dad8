"""The response as a handler writes it: head frozen once, body buffered until it must go out.

A response that ends within the buffer goes out in one piece with its Content-Length; a longer or flushed one is
streamed. Filters (compression) see the body on its way out, the one added last first.
"""

from __future__ import annotations

from typing import Protocol

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.headers import Headers
from wippy_trio.http.sniff import sniff_content_type

__all__ = ["BodyFilter", "Response", "ResponseSink"]

BUFFER_BYTES = 2048


class ResponseSink(Protocol):
    """Where an engine takes the response. Raises `InternalError` once the client is gone."""

    async def start(self, status: int, headers: Headers, data: bytes, *, final: bool) -> None:
        """Send the head and the first bytes; `final` when nothing follows."""

    async def send(self, data: bytes, *, final: bool) -> None:
        """Send further bytes."""


class BodyFilter(Protocol):
    """A change to the body on its way out.

    Attributes:
        wanted_bytes: how much is buffered before `begin` must decide.
    """

    wanted_bytes: int

    def begin(self, status: int, headers: Headers, data: bytes, *, final: bool) -> bool:
        """See the head (and change it) and the first bytes; False to stay out of this response."""

    def feed(self, data: bytes, *, final: bool, flush: bool) -> bytes:
        """The changed bytes."""


class Response:
    """A response being written.

    Attributes:
        headers: fields to send; changes after the head is frozen have no effect on it.
        status: the status, 0 while none was chosen.
        handled: whether the handler did anything with the response.
        started: whether anything has gone out.
    """

    __slots__ = (
        "_active", "_body_allowed", "_buffer", "_filters", "_frozen", "_is_head", "_limit_bytes", "_sink",
        "ended", "handled", "headers", "started", "status",
    )  # fmt: skip

    def __init__(self, sink: ResponseSink, *, is_head: bool = False) -> None:
        self._sink = sink
        self._is_head = is_head
        self._filters: list[BodyFilter] = []
        self._active: list[BodyFilter] = []
        self._limit_bytes = BUFFER_BYTES
        self._buffer = bytearray()
        self._frozen: Headers | None = None
        self._body_allowed = True
        self.headers = Headers()
        self.status = 0
        self.handled = False
        self.started = False
        self.ended = False

    @property
    def head_frozen(self) -> bool:
        """Whether status and headers are settled."""
        return self._frozen is not None

    def add_filter(self, body_filter: BodyFilter) -> None:
        """Let `body_filter` see the body; only before the head is frozen."""
        self._filters.append(body_filter)
        self._limit_bytes = max(self._limit_bytes, body_filter.wanted_bytes)

    def set_status(self, status: int) -> None:
        """Settle status and headers; nothing goes out yet. A second call is ignored, as in the reference.

        Raises:
            InvalidError: the status is not between 200 and 999.
        """
        if not 200 <= status <= 999:
            message = f"invalid status code {status}"
            raise InvalidError(message)
        if self._frozen is None:
            self.status = status
            self._frozen = self.headers.copy()
            self._body_allowed = status not in (204, 304)

    def reset(self) -> bool:
        """Take back status and buffered body, headers stay. False if something has already gone out."""
        if self.started or self.ended:
            return False
        self._frozen, self.status, self._body_allowed = None, 0, True
        self._buffer.clear()
        return True

    def write_now(self, data: bytes) -> bool:
        """Buffer `data` if it fits; False means nothing was taken and `write` is needed."""
        if self.started or self.ended or len(self._buffer) + len(data) > self._limit_bytes:
            return False
        return self._take(data)

    def _take(self, data: bytes) -> bool:
        if self.ended:
            raise InternalError("write after the response ended")
        if self._frozen is None:
            self.set_status(200)
        if not self._body_allowed:
            if data:
                raise InternalError("http: request method or response status code does not allow body")
            return True
        self._buffer += data
        return True

    async def write(self, data: bytes) -> None:
        """Append to the body; the head goes out as 200 if no status was set.

        Raises:
            InternalError: the status allows no body, the response has ended, or the client is gone.
        """
        self._take(data)
        if len(self._buffer) > self._limit_bytes or (self.started and self._buffer):
            await self._transmit(final=False, flush=False)

    async def flush(self) -> None:
        """Send what is buffered, the head included."""
        if self.ended:
            return
        if self._frozen is None:
            self.set_status(200)
        await self._transmit(final=False, flush=True)

    async def finish(self) -> None:
        """Send the rest and end the response; called once by the engine."""
        if self.ended:
            return
        if self._frozen is None:
            self.set_status(200)
        await self._transmit(final=True, flush=False)
        self.ended = True

    async def _transmit(self, *, final: bool, flush: bool) -> None:
        data = bytes(self._buffer)
        self._buffer.clear()
        if self.started:
            for active in self._active:
                data = active.feed(data, final=final, flush=flush)
            if data or final:
                await self._sink.send(b"" if self._is_head else data, final=final)
            return
        self.started = True
        assert self._frozen is not None
        headers = self._complete_head(self._frozen, data, final=final)
        for candidate in reversed(self._filters):
            if self._body_allowed and not self._is_head and candidate.begin(self.status, headers, data, final=final):
                self._active.append(candidate)
                data = candidate.feed(data, final=final, flush=flush)
        if final and self._body_allowed and "Content-Length" not in headers and (data or not self._is_head):
            headers.set("Content-Length", str(len(data)))
        await self._sink.start(self.status, headers, b"" if self._is_head else data, final=final)

    def _complete_head(self, headers: Headers, data: bytes, *, final: bool) -> Headers:
        if "Transfer-Encoding" in headers:
            # Framing is the engine's: `set_transfer("chunked")` only says that no length will be announced.
            headers.remove("Transfer-Encoding")
            headers.remove("Content-Length")
        if not self._body_allowed:
            headers.remove("Content-Length")
        elif data and "Content-Type" not in headers and "Content-Encoding" not in headers:
            headers.set("Content-Type", sniff_content_type(data))
        return headers
