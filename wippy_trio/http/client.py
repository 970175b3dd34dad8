"""An HTTP/1.1 client on h11 over the network seam: pooled connections, redirects, deadlines, bounded bodies.

Own rather than a library: every socket passes the seam (so a simulated network sees the requests), the rules of
redirects and cookies are the reference's, and nothing but h11 is imported. Source: lua/http/client.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable

import trio

from determinism.network import RealNetworkError
from determinism.seams import Environment
from wippy_trio.core.errors import Raised, UnsupportedError
from wippy_trio.http.client_faults import GivenBody, Trouble, trouble_of
from wippy_trio.http.client_message import ClientRequest, Message, RequestFailedError, target_of, verb
from wippy_trio.http.client_pool import ClientConnection, ClientPool, ConnectionLostError, Target
from wippy_trio.http.headers import Headers

__all__ = ["ClientRequest", "ClientResponse", "HttpClient", "RequestFailedError"]

DEFAULT_TIMEOUT_S = 30.0
DEFAULT_BODY_BYTES = 120 * 1024 * 1024
MAX_REDIRECTS = 10
Judge = Callable[[str], Awaitable[None]]
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RESENDABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class ClientResponse:
    """An answer.

    Attributes:
        url: after redirects.
        body: the whole body, empty where it is streamed.
    """

    def __init__(self, status: int, headers: Headers, url: str, reader: _BodyReader | GivenBody) -> None:
        self.status = status
        self.headers = headers
        self.url = url
        self.body = b""
        self._reader = reader

    def cookies(self) -> dict[str, str]:
        """Names and values of the answer's Set-Cookie fields; the last of equal names wins."""
        found: dict[str, str] = {}
        for value in self.headers.get_all("Set-Cookie"):
            name, equals, text = value.partition(";")[0].partition("=")
            if equals and name.strip():
                found[name.strip()] = text.strip().removeprefix('"').removesuffix('"')
        return found

    async def read(self, max_bytes: int) -> bytes:
        """The next bytes of a streamed body, `b""` at its end."""
        return await self._reader.read(max_bytes)

    async def aclose(self) -> None:
        """Give the connection back (or drop it, where the body was not read to its end)."""
        await self._reader.aclose()


class _BodyReader:
    """A response body under the request's deadline, ungzipped if we asked for gzip ourselves."""

    def __init__(
        self, connection: ClientConnection, deadline: float, *, gunzip: bool, stalled_s: float = 0.0
    ) -> None:
        self._connection = connection
        self._deadline = deadline
        self._stalled_s = stalled_s
        self._unpacker = zlib.decompressobj(31) if gunzip else None
        self._pending = b""
        self._ended = False

    async def read(self, max_bytes: int) -> bytes:
        while not self._pending and not self._ended:
            await self._fill(max_bytes)
        data, self._pending = self._pending[:max_bytes], self._pending[max_bytes:]
        return data

    async def _fill(self, max_bytes: int) -> None:
        unpacker = self._unpacker
        if unpacker is not None and unpacker.unconsumed_tail:
            self._pending = self._unpack(unpacker.unconsumed_tail, max_bytes)
            return
        data: bytes | None = None
        with trio.move_on_at(self._deadline):
            try:
                if self._stalled_s:
                    stalled_s, self._stalled_s = self._stalled_s, 0.0
                    await trio.sleep(stalled_s)
                data = await self._connection.read_body()
            except ConnectionLostError as problem:
                await self.aclose()
                raise RequestFailedError(str(problem)) from problem
        if data is None:
            await self.aclose()
            raise RequestFailedError(
                "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
            )
        if not data:
            self._ended = True
            await self._connection.release()
        self._pending = data if unpacker is None else self._unpack(data, max_bytes)

    def _unpack(self, data: bytes, max_bytes: int) -> bytes:
        assert self._unpacker is not None
        try:
            return self._unpacker.decompress(data, max_bytes) if data else b""
        except zlib.error as problem:
            raise RequestFailedError(f"gzip: {problem}") from problem

    async def aclose(self) -> None:
        if not self._ended:
            self._ended = True
            await self._connection.discard()


class HttpClient:
    """Sends requests.

    Args:
        environment: network, clock, ids.
        pool: connections; one of its own by default.
    """

    def __init__(self, environment: Environment, pool: ClientPool | None = None) -> None:
        self._environment = environment
        self._pool = pool or ClientPool(environment)

    async def aclose(self) -> None:
        """Drop every idle connection."""
        await self._pool.aclose()

    async def request(self, request: ClientRequest, judge: Judge | None = None) -> ClientResponse:
        """Send a request and follow its redirects (at most ten).

        Args:
            request: what to send.
            judge: awaited with the URL of every redirect before it is followed; its error ends the request.

        Raises:
            UnsupportedError: a unix socket.
            InvalidError: the TLS options cannot be used.
            RequestFailedError: a bad URL, no connection, no answer in time, a body beyond the limit.
        """
        if request.unix_socket:
            raise UnsupportedError("unix sockets are not available to http_client (docs/reference/status.md)")
        timeout_s = DEFAULT_TIMEOUT_S if request.timeout_s is None or request.timeout_s <= 0 else request.timeout_s
        deadline = trio.current_time() + timeout_s
        message = Message.of(request, self._environment)
        with trio.move_on_at(deadline):
            response = await self._follow(request, message, deadline, judge)
            if not request.stream:
                await _buffer(response, request.max_response_bytes or DEFAULT_BODY_BYTES)
            return response
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise RequestFailedError(f'{verb(request.method)} "{message.url}": {text}')

    async def _follow(
        self, request: ClientRequest, message: Message, deadline: float, judge: Judge | None
    ) -> ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._exchange(request, message, deadline)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location:
                return response
            try:
                message = message.redirected(response.status, location)
                # A short body is read, so that its connection can carry the next request.
                if len(await response.read(2048)) < 2048:
                    await response.read(1)
            finally:
                await response.aclose()
            if judge is not None:
                await judge(message.url)
        raise RequestFailedError(f'{verb(message.method)} "{message.url}": stopped after {MAX_REDIRECTS} redirects')

    async def _exchange(self, request: ClientRequest, message: Message, deadline: float) -> ClientResponse:
        subject = f'{verb(message.method)} "{message.url}"'
        trouble = trouble_of(self._environment.faults, message.method, message.url)
        if not trouble.reaches_peer:
            await trio.sleep(trouble.late_s)
            return ClientResponse(trouble.status, *_stranger(trouble, message.url))
        try:
            target = target_of(message.url, request.tls)
            gunzip = message.ask_gzip()
            connection, status, headers = await self._send(message, target, trouble)
        except RealNetworkError as problem:  # the scenario lacks something: no answer to go on with
            raise Raised(f"{subject}: {problem.strerror}") from problem
        except (ConnectionLostError, OSError) as problem:
            raise RequestFailedError(f"{subject}: {problem}") from problem
        if trouble.status:
            await connection.discard()
            return ClientResponse(trouble.status, *_stranger(trouble, message.url))
        packed = gunzip and headers.get("Content-Encoding").lower() == "gzip"
        if packed:
            headers.remove("Content-Encoding")
            headers.remove("Content-Length")
        reader = _BodyReader(connection, deadline, gunzip=packed, stalled_s=trouble.stalled_s)
        return ClientResponse(status, headers, message.url, reader)

    async def _send(
        self, message: Message, target: Target, trouble: Trouble
    ) -> tuple[ClientConnection, int, Headers]:
        while True:
            connection = await self._pool.acquire(target)
            try:
                status, headers = await connection.exchange(
                    message.method, message.path(), message.wire_fields(target), message.body
                )
                if trouble.late_s:
                    await trio.sleep(trouble.late_s)
            except ConnectionLostError:
                await connection.discard()
                # A kept connection may have been closed by the server just now. Whether it did its work before cannot
                # be told, so only what may be done twice is sent again.
                if not connection.reused or message.method not in _RESENDABLE:
                    raise
            except BaseException:
                with trio.CancelScope(shield=True):
                    await connection.discard()
                raise
            else:
                return connection, status, headers


def _stranger(trouble: Trouble, url: str) -> tuple[Headers, str, GivenBody]:
    headers, body = trouble.answer()
    return headers, url, body


async def _buffer(response: ClientResponse, limit_bytes: int) -> None:
    try:
        parts = bytearray()
        while data := await response.read(min(64 * 1024, limit_bytes + 1)):
            parts += data
            if len(parts) > limit_bytes:
                raise RequestFailedError(f"response body too large (max {limit_bytes} bytes)")
        response.body = bytes(parts)
    finally:
        with trio.CancelScope(shield=True):
            await response.aclose()
