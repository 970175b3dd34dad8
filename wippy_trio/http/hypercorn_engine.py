"""HTTP/1.1 and HTTP/2 on hypercorn, behind our listener, with the deadlines hypercorn has not.

It serves what the h11 engine does not speak (HTTP/2 over TLS or with prior knowledge); its HTTP/1.1 is more lenient
(bare line feeds, both kinds of length), which is why it is not the default for HTTP/1.1. Imported when a server asks
for it: hypercorn costs about 90 ms at start. Source: ours (decision on the listener seam).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.body import Body, BodyTooLargeError
from wippy_trio.http.exchange import Exchange, Request
from wippy_trio.http.headers import Headers
from wippy_trio.http.link import ClientGoneError, Link
from wippy_trio.http.response import Response

__all__ = ["HypercornEngine"]

Message = dict[str, Any]


class HypercornEngine:
    """An engine over hypercorn's trio server, one instance of it per connection."""

    def __init__(self) -> None:
        from hypercorn.config import Config
        from hypercorn.trio.worker_context import WorkerContext

        self._config = Config()
        self._config.include_server_header = False
        self._config.include_date_header = False  # ours, from the clock seam
        self._config.accesslog = self._config.errorlog = None
        self._context = WorkerContext(None)

    async def serve(self, link: Link) -> None:
        """Serve requests until the connection ends; closes the stream."""
        from hypercorn.app_wrappers import ASGIWrapper
        from hypercorn.trio.tcp_server import TCPServer

        guarded = _GuardedStream(link)
        self._config.keep_alive_timeout = math.inf  # _GuardedStream measures silence, heads apart from gaps
        self._config.h11_max_incomplete_size = link.limits.header_bytes

        async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Any) -> None:
            if scope["type"] == "http":
                await _Turn(link, guarded, scope, receive, send).serve()
            elif scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011})

        with guarded.whole:
            link.idle_scope = guarded.whole
            try:
                await TCPServer(ASGIWrapper(app), self._config, self._context, {}, guarded).run()  # type: ignore[arg-type]
            except* (trio.BrokenResourceError, trio.ClosedResourceError, ClientGoneError):
                pass


class _Address:
    """What hypercorn asks of a socket: who is there."""

    def __init__(self, remote: str) -> None:
        host, _, port = remote.rpartition(":")
        self.family = trio.socket.AF_INET6 if host.startswith("[") else trio.socket.AF_INET
        self._name = (host.strip("[]") or "0.0.0.0", int(port) if port.isdigit() else 0)

    def getpeername(self) -> tuple[str, int]:
        return self._name

    def getsockname(self) -> tuple[str, int]:
        return ("", 0)


class _GuardedStream(trio.abc.Stream):
    """The connection with deadlines: idle until a first byte, then a time for the head, then stall limits.

    hypercorn reads all the time, so the deadline of the read that is pending moves with the phase.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._limits = link.limits
        self._pending: trio.CancelScope | None = None
        self._deadline = trio.current_time() + link.limits.idle_s
        self._idle = True
        self._requests = 0
        self._input_ended = False
        self.whole = trio.CancelScope()
        self.socket = _Address(link.remote_address)
        if link.secure:
            inner: Any = link.stream
            self.transport_stream = self
            self.selected_alpn_protocol = inner.selected_alpn_protocol
            self.do_handshake = inner.do_handshake

    def request_began(self) -> None:
        self._requests += 1
        self._idle = False
        self._link.idle_scope = None
        self._move(math.inf)

    def request_ended(self) -> None:
        self._requests -= 1
        if self._requests == 0:
            self._idle = True
            self._move(trio.current_time() + self._limits.idle_s)
            self._link.idle_scope = self.whole
            self._end_if_nothing_is_left()

    def _end_if_nothing_is_left(self) -> None:
        # hypercorn's own idle task would keep the connection's nursery open.
        if self._requests == 0 and (self._input_ended or self._link.draining):
            self.whole.cancel()

    def _move(self, deadline: float) -> None:
        self._deadline = deadline
        if self._pending is not None:
            self._pending.deadline = deadline

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with trio.CancelScope(deadline=self._deadline) as scope:
            self._pending = scope
            try:
                data = await self._link.stream.receive_some(max_bytes)
            finally:
                self._pending = None
            if data and self._idle:
                self._idle = False
                self._deadline = trio.current_time() + self._limits.header_s
            if not data:
                self._input_ended = True
                self._end_if_nothing_is_left()
            return data
        self._input_ended = True
        self._end_if_nothing_is_left()
        raise trio.ClosedResourceError("no request in time")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(self._limits.write_stall_s) as scope:
            await self._link.stream.send_all(bytes(data))
        if scope.cancelled_caught:
            await trio.aclose_forcefully(cast(trio.abc.AsyncResource, self._link.stream))
            raise trio.BrokenResourceError("client does not take the response")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._link.stream.aclose()


class _Turn:
    """One ASGI call as an exchange; the response's sink."""

    def __init__(
        self, link: Link, stream: _GuardedStream, scope: Message, receive: Callable[[], Awaitable[Message]], send: Any
    ) -> None:
        self.link = link
        self.stream = stream
        self.scope = scope
        self._receive = receive
        self._send = send
        self.body_ended = False
        self.response_ended = False
        self.start_watching: Callable[[], None] = lambda: None

    async def serve(self) -> None:
        self.stream.request_began()
        try:
            try:
                self.exchange = self._begin()
            except InvalidError:
                await self._refuse(400)
                return
            except BodyTooLargeError:
                await self._refuse(413)
                return
            async with trio.open_nursery() as nursery:
                self.start_watching = lambda: nursery.start_soon(self._watch)
                if self.exchange.request.content_length == 0:
                    await self._read_body()
                complete = await self.link.handle(self.exchange)
                nursery.cancel_scope.cancel()
            if not complete:
                await self.stream.aclose()
        finally:
            self.stream.request_ended()

    def _begin(self) -> Exchange:
        headers, host, length = Headers(), "", 0
        for name, value in self.scope["headers"]:
            text = value.decode("utf-8", "surrogateescape")
            if name == b"host":
                host = text
            elif name == b"transfer-encoding":
                length = -1
            else:
                headers.add(name.decode("ascii"), text)
        if length == 0 and headers.get("Content-Length").isdigit():
            length = int(headers.get("Content-Length"))
        elif self.scope["http_version"] == "2" and self.scope["method"] not in ("GET", "HEAD"):
            length = -1
        if length > self.link.limits.body_bytes:
            raise BodyTooLargeError("request body too large")
        target = self.scope["raw_path"].decode("utf-8", "surrogateescape")
        if self.scope["query_string"]:
            target += "?" + self.scope["query_string"].decode("utf-8", "surrogateescape")
        request = Request(
            self.scope["method"], target, headers, Body(self._read_body, length),
            host=host, remote_address=self.link.remote_address,
        )  # fmt: skip
        request.version = self.scope["http_version"]
        exchange = Exchange(request, Response(self, is_head=request.method == "HEAD"))
        self.link.prepare(exchange)
        return exchange

    async def _refuse(self, status: int) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read_body(self) -> bytes:
        while not self.body_ended:
            message: Message | None = None
            with trio.move_on_after(self.link.limits.body_stall_s):
                message = await self._receive()
            if message is None:
                raise InternalError("request body: i/o timeout", retryable=False)
            if message["type"] != "http.request":
                raise InternalError("unexpected EOF", retryable=False)
            data = bytes(message.get("body", b""))
            if not message.get("more_body", False):
                self.body_ended = True
                self.start_watching()
            if self.exchange.request.body.received_bytes + len(data) > self.link.limits.body_bytes:
                raise BodyTooLargeError("request body too large")
            if data:
                return data
        return b""

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.response_ended:
            self.exchange.cancel_scope.cancel()

    async def start(self, status: int, headers: Headers, data: bytes, *, final: bool) -> None:
        """`ResponseSink.start`."""
        fields = [(name.lower(), value) for name, value in headers.wire_fields()]
        if "Date" not in headers:
            fields.append((b"date", self.link.date().encode()))
        if self.link.draining and self.scope["http_version"] != "2":
            fields.append((b"connection", b"close"))
        if self.scope["http_version"] == "2":
            fields = [(name, value) for name, value in fields if name not in (b"connection", b"keep-alive")]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send(data, final=final)

    async def send(self, data: bytes, *, final: bool) -> None:
        """`ResponseSink.send`."""
        self.response_ended = final  # hypercorn reports a disconnect as soon as the last byte is out
        if data or final:
            await self._send({"type": "http.response.body", "body": data, "more_body": not final})
