"""HTTP/1.1 on h11, under deadlines and limits, strict where leniency would be dangerous.

h11 holds the protocol's states; this module holds time and sizes: a request's head is collected here first (so that
its size and its line ends can be judged before it is parsed), every request gets a fresh state machine, and while a
handler runs a watcher reads ahead, so that a client that goes away cancels the exchange. Source: http/server, ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus

import h11
import trio

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.body import Body, BodyTooLargeError
from wippy_trio.http.exchange import Exchange, Request
from wippy_trio.http.headers import Headers
from wippy_trio.http.link import ClientGoneError, Link
from wippy_trio.http.response import Response

__all__ = ["H11Engine"]

READ_BYTES = 64 * 1024
READ_AHEAD_BYTES = 64 * 1024
DRAIN_BYTES = 256 * 1024
DRAIN_S = 5.0
LINGER_S = 0.5
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}


class _Refused(Exception):
    """The peer's bytes are no request we serve; answered with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class H11Engine:
    """The default engine: HTTP/1.0 and 1.1, keep-alive, `100-continue`, upgrades."""

    async def serve(self, link: Link) -> None:
        """Serve requests until the connection ends; closes the stream."""
        session = _Session(link)
        try:
            while not link.draining:
                head = await session.read_head()
                if head is None or not await session.run(head):
                    break
        except _Refused as refused:
            await session.refuse(refused.status)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if not session.taken:
                with trio.move_on_after(LINGER_S, shield=True):
                    await link.stream.aclose()


class _Session:
    """The bytes of one connection and the request under way."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.buffer = bytearray()
        self.taken = False

    async def receive(self, deadline: float) -> bytes:
        """The next bytes; `b""` at the end of input or where the connection broke.

        Raises:
            TimeoutError: nothing came in time.
        """
        with trio.move_on_at(deadline):
            try:
                return await self.link.stream.receive_some(READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return b""
        raise TimeoutError

    async def send(self, data: bytes, deadline: float) -> None:
        """Send in pieces, each under the stall limit.

        Raises:
            ClientGoneError: the connection broke or stalled.
        """
        try:
            for start in range(0, len(data), READ_BYTES):
                limit = min(deadline, trio.current_time() + self.link.limits.write_stall_s)
                with trio.move_on_at(limit) as scope:
                    await self.link.stream.send_all(data[start : start + READ_BYTES])
                if scope.cancelled_caught:
                    raise ClientGoneError("client does not take the response")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
            raise ClientGoneError("client is gone") from problem

    async def read_head(self) -> bytes | None:
        """A request's head with its blank line; None when the connection ends before one begins."""
        limits = self.link.limits
        if not self.buffer:
            with trio.CancelScope() as idle:
                self.link.idle_scope = idle
                try:
                    self.buffer += await self.receive(trio.current_time() + limits.idle_s)
                except TimeoutError:
                    return None
                finally:
                    self.link.idle_scope = None
            if not self.buffer:
                return None
        self.began_s = trio.current_time()
        allowed_s = limits.header_s if limits.read_s is None else min(limits.header_s, limits.read_s)
        while (end := self._head_end()) < 0:
            try:
                data = await self.receive(self.began_s + allowed_s)
            except TimeoutError:
                raise _Refused(408) from None
            if not data:
                return None
            self.buffer += data
        head = bytes(self.buffer[:end])
        del self.buffer[:end]
        return head

    def _head_end(self) -> int:
        buffer = self.buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 section 2.2: an empty line before a request is skipped
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        head = buffer if end < 0 else buffer[: end + 4]
        if len(head) > self.link.limits.header_bytes:
            raise _Refused(431)
        # A line feed alone ends a line for some parsers and not for others: that is how requests are smuggled.
        if head.count(b"\n") != head.count(b"\r\n"):
            raise _Refused(400)
        return -1 if end < 0 else end + 4

    async def run(self, head: bytes) -> bool:
        """Serve the request that begins with `head`; whether the connection may be used again."""
        cycle = _Cycle(self, head)
        return await cycle.serve()

    async def refuse(self, status: int) -> None:
        """Answer an unacceptable request and let the peer read the answer before the connection closes."""
        text = f"{status} {_PHRASES[status].decode()}"
        data = (
            f"HTTP/1.1 {text}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
        )
        try:
            await self.send(data.encode(), trio.current_time() + LINGER_S)
        except ClientGoneError:
            return
        await self.linger()

    async def linger(self) -> None:
        """Read a little of what is still coming: closing with unread bytes would destroy our answer on its way."""
        send_eof = getattr(self.link.stream, "send_eof", None)
        with trio.move_on_after(LINGER_S):
            try:
                if send_eof is not None:
                    await send_eof()
                for _ in range(8):
                    if not await self.link.stream.receive_some(READ_BYTES):
                        break
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


class _Cycle:
    """One request and its response; the response's sink."""

    def __init__(self, session: _Session, head: bytes) -> None:
        self.session = session
        self.link = session.link
        self.machine = h11.Connection(h11.SERVER, max_incomplete_event_size=self.link.limits.header_bytes + 4096)
        self.began_s = session.began_s
        limits = self.link.limits
        self.read_deadline = math.inf if limits.read_s is None else self.began_s + limits.read_s
        self.write_deadline = math.inf if limits.write_s is None else trio.current_time() + limits.write_s
        self.body_ended = False
        self.upgraded = False
        self.start_watching: Callable[[], None] = lambda: None
        self.watch_scope = trio.CancelScope()
        self.watch_ended = trio.Event()
        self.exchange = self._begin(head)

    def _begin(self, head: bytes) -> Exchange:
        try:
            self.machine.receive_data(head)
            event = self.machine.next_event()
        except h11.RemoteProtocolError as problem:
            raise _Refused(501 if problem.error_status_hint == 501 else 400) from problem
        if not isinstance(event, h11.Request):
            raise _Refused(400)
        if event.http_version not in (b"1.0", b"1.1"):
            raise _Refused(505)
        headers, host, length = self._fields(event)
        body = Body(self._read_body, length)
        try:
            request = Request(
                event.method.decode("ascii"), event.target.decode("utf-8", "surrogateescape"), headers, body,
                host=host, remote_address=self.link.remote_address,
            )  # fmt: skip
        except InvalidError as problem:
            raise _Refused(400) from problem
        request.version = event.http_version.decode("ascii")
        exchange = Exchange(request, Response(self, is_head=request.method == "HEAD"))
        self.link.prepare(exchange)
        exchange.upgrade_with = self.upgrade
        return exchange

    def _fields(self, event: h11.Request) -> tuple[Headers, str, int]:
        limits = self.link.limits
        if len(event.headers) > limits.header_count:
            raise _Refused(431)
        headers, host, length = Headers(), "", 0
        chunked = sized = False
        for name, value in event.headers:
            text = value.decode("utf-8", "surrogateescape")
            if name == b"host":
                host = text
                continue
            headers.add(name.decode("ascii"), text)
            if name == b"transfer-encoding":
                chunked = True
                length = -1
            elif name == b"content-length":
                sized = True
                length = int(value)
        # Two ways to say where the body ends: the peer in front of us may have believed the other one.
        if chunked and (sized or event.http_version == b"1.0"):
            raise _Refused(400)
        if length > limits.body_bytes:
            raise _Refused(413)
        headers.remove("Transfer-Encoding")
        return headers, host, length

    async def serve(self) -> bool:
        session, exchange = self.session, self.exchange
        if self.exchange.request.content_length == 0:
            self._take_end()
        complete = False
        async with trio.open_nursery() as nursery:
            self.start_watching = lambda: nursery.start_soon(self._watch)
            if self.body_ended:
                self.start_watching()
            complete = await self.link.handle(exchange)
            nursery.cancel_scope.cancel()
        self.start_watching = lambda: None
        exchange.request.body.close()
        if self.upgraded or not complete:
            return False
        if self.machine.our_state is h11.DONE and not self.body_ended:
            await self._drop_rest()
        if self.machine.our_state is h11.DONE and self.machine.their_state is h11.DONE:
            return not self.link.draining
        if not self.body_ended or session.buffer:
            await session.linger()
        return False

    async def _watch(self) -> None:
        """Read ahead while the handler works: it notices a client that leaves. Bounded by READ_AHEAD_BYTES."""
        session = self.session
        with self.watch_scope:
            while len(session.buffer) < READ_AHEAD_BYTES:
                data = await session.receive(math.inf)
                if not data:
                    self.exchange.cancel_scope.cancel()
                    break
                session.buffer += data
        self.watch_ended.set()

    async def _read_body(self) -> bytes:
        """The next piece of the body, `b""` at its end."""
        if self.body_ended:
            return b""
        try:
            return await self._next_piece()
        except h11.RemoteProtocolError as problem:
            raise InternalError(f"malformed request body: {problem}", retryable=False) from problem

    async def _next_piece(self) -> bytes:
        machine, session, limits = self.machine, self.session, self.link.limits
        if machine.they_are_waiting_for_100_continue and not session.buffer:
            data = machine.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            await session.send(data or b"", self.write_deadline)
        while True:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                machine.receive_data(await self._more())
            elif isinstance(event, h11.Data):
                if self.exchange.request.body.received_bytes + len(event.data) > limits.body_bytes:
                    raise BodyTooLargeError("request body too large")
                return bytes(event.data)
            else:
                self._end_body()
                self.start_watching()
                return b""

    async def _more(self) -> bytes:
        session = self.session
        if session.buffer:
            data = bytes(session.buffer)
            session.buffer.clear()
            return data
        deadline = min(self.read_deadline, trio.current_time() + self.link.limits.body_stall_s)
        try:
            data = await session.receive(deadline)
        except TimeoutError:
            raise InternalError("request body: i/o timeout", retryable=False) from None
        if not data:
            raise InternalError("unexpected EOF", retryable=False)
        return data

    def _take_end(self) -> None:
        """A request without body: its end is known already."""
        event = self.machine.next_event()
        assert isinstance(event, h11.EndOfMessage), event
        self._end_body()

    def _end_body(self) -> None:
        self.body_ended = True
        rest, _ = self.machine.trailing_data
        self.session.buffer[:0] = rest

    async def _drop_rest(self) -> None:
        """A handler left the body unread: drop a moderate rest so that the connection can be used again."""
        if self.machine.they_are_waiting_for_100_continue or self._rest_is_large():
            return
        with trio.move_on_after(DRAIN_S):
            try:
                await self.exchange.request.body.discard(DRAIN_BYTES)
            except (InternalError, InvalidError, ClientGoneError):
                pass

    def _rest_is_large(self) -> bool:
        body = self.exchange.request.body
        return body.announced_bytes - body.received_bytes > DRAIN_BYTES

    async def start(self, status: int, headers: Headers, data: bytes, *, final: bool) -> None:
        """`ResponseSink.start`."""
        fields = headers.wire_fields()
        if "Date" not in headers:
            fields.append((b"Date", self.link.date().encode()))
        unread = not self.body_ended and (self.machine.they_are_waiting_for_100_continue or self._rest_is_large())
        if (self.link.draining or unread) and "Connection" not in headers:
            fields.append((b"Connection", b"close"))
        try:
            out = (
                self.machine.send(h11.Response(status_code=status, headers=fields, reason=_PHRASES.get(status, b"")))
                or b""
            )
            out += self._frame(data, final=final)
        except h11.LocalProtocolError as problem:
            # A length that does not match, say. Half a response is worse than none: drop the connection.
            raise InternalError(f"http: {problem}", retryable=False) from problem
        await self._send(out)

    async def send(self, data: bytes, *, final: bool) -> None:
        """`ResponseSink.send`."""
        try:
            out = self._frame(data, final=final)
        except h11.LocalProtocolError as problem:
            raise InternalError(f"http: {problem}", retryable=False) from problem
        await self._send(out)

    def _frame(self, data: bytes, *, final: bool) -> bytes:
        out = self.machine.send(h11.Data(data=data)) or b"" if data else b""
        if final:
            out += self.machine.send(h11.EndOfMessage()) or b""
        return out

    async def _send(self, out: bytes) -> None:
        try:
            await self.session.send(out, self.write_deadline)
        except ClientGoneError:
            self.exchange.cancel_scope.cancel()
            raise

    async def upgrade(self, headers: Headers) -> tuple[trio.abc.Stream, bytes]:
        """`Exchange.upgrade_with`: 101, then the raw stream belongs to the handler until it returns."""
        if self.exchange.request.version != "1.1" or not self.body_ended or self.exchange.response.started:
            raise InvalidError("this request cannot be upgraded")
        self.watch_scope.cancel()
        await self.watch_ended.wait()  # two readers of one stream would be a bug
        lines = [b"HTTP/1.1 101 Switching Protocols"]
        lines += [name + b": " + value for name, value in headers.wire_fields()]
        await self._send(b"\r\n".join(lines) + b"\r\n\r\n")
        self.upgraded = self.exchange.response.ended = self.exchange.response.started = True
        rest = bytes(self.session.buffer)
        self.session.buffer.clear()
        return self.link.stream, rest  # type: ignore[return-value]  # the seam's streams are trio streams
