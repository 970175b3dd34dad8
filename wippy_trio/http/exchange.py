"""One HTTP exchange: the request, the response being written, and what the two share on their way.

A handler is `async def handler(exchange) -> None`. Engines make exchanges, routing and middleware pass them on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
import trio

from wippy_trio.core.errors import InvalidError, UnsupportedError
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.http.body import Body
from wippy_trio.http.headers import Headers, decode_query, query_unescape
from wippy_trio.http.response import Response

__all__ = ["Exchange", "Handler", "Middleware", "Request", "Route", "Upgrade", "respond_json", "respond_text"]


class Request:
    """A request as received.

    Attributes:
        method: verb, as sent.
        raw_path: path of the target, still escaped; `path` is its decoded form.
        query: raw query string without `?`.
        headers: header fields without `Host`.
        host: the `Host` field, or the authority of an absolute target.
        remote_address: `address:port` of the peer; the real_ip middleware replaces it.
        content_length: bytes announced, 0 without a body, -1 where unknown (chunked).
        version: `1.0`, `1.1` or `2`.
        secure: whether it came over TLS.
        body: the body, read once.
    """

    __slots__ = (
        "_query_values", "body", "content_length", "headers", "host", "method", "path", "query", "raw_path",
        "remote_address", "secure", "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: Body,
        *,
        host: str = "",
        remote_address: str = "",
    ) -> None:
        """Read the parts of `target`.

        Raises:
            InvalidError: the target is not a path, an absolute URL or `*`.
        """
        self.method = method
        self.raw_path, _, self.query = _origin_form(target).partition("?")
        self.path = query_unescape(self.raw_path, plus=False)
        self.headers = headers
        self.body = body
        self.content_length = body.announced_bytes
        self.host = host
        self.remote_address = remote_address
        self.version = "1.1"
        self.secure = False
        self._query_values: dict[str, list[str]] | None = None

    def query_values(self) -> Mapping[str, list[str]]:
        """Every query value by key."""
        if self._query_values is None:
            self._query_values = decode_query(self.query)
        return self._query_values


def _origin_form(target: str) -> str:
    if target.startswith("/") or target == "*":
        return target
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in {"http", "https"}:
        _, slash, path = rest.partition("/")
        return f"/{path}" if slash else "/"
    message = f"invalid request target {target!r}"
    raise InvalidError(message)


@attrs.frozen(slots=True)
class Route:
    """The route that matched.

    Attributes:
        endpoint: the endpoint's entry id.
        function: the function behind it.
        params: path parameters; a catch-all's text is not among them. Source: http/router, wildcard paths.
        pattern: `METHOD /path` as registered.
    """

    endpoint: EntryId
    function: EntryId
    params: Mapping[str, str] = attrs.field(factory=dict)
    pattern: str = ""


class Upgrade(Protocol):
    """Takes a connection over from HTTP (for WebSocket); only engines that can do so offer it."""

    async def __call__(self, headers: Headers) -> tuple[trio.abc.Stream, bytes]:
        """Answer 101 with `headers`; returns the raw stream and the bytes already read from it."""


@attrs.define(slots=True, eq=False)
class Exchange:
    """A request, its response and their surroundings.

    Attributes:
        frame: security context and values the handler runs in; middleware replaces it.
        route: what matched, None before routing and for mounts.
        cancel_scope: cancelled when the client goes away or the server stops waiting.
        server_id: entry id of the server, its relay host.
        state: values that middleware and handlers of this exchange hand to each other, by name.
    """

    request: Request
    response: Response
    frame: Frame = EMPTY_FRAME
    route: Route | None = None
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    server_id: str = ""
    state: dict[str, Any] = attrs.field(factory=dict)
    upgrade_with: Upgrade | None = None

    async def upgrade(self, headers: Headers) -> tuple[trio.abc.Stream, bytes]:
        """Take the connection over from HTTP.

        Raises:
            UnsupportedError: the engine or the protocol version has no upgrade.
        """
        if self.upgrade_with is None:
            message = "this connection cannot be upgraded (HTTP/1.1 without TLS offloading only)"
            raise UnsupportedError(message)
        return await self.upgrade_with(headers)


Handler = Callable[[Exchange], Awaitable[None]]
Middleware = Callable[[Handler], Handler]


async def respond_text(exchange: Exchange, status: int, text: str) -> None:
    """A plain-text answer with a closing newline, as the reference writes errors."""
    headers = exchange.response.headers
    for name in ("Content-Length", "Content-Encoding", "Etag", "Last-Modified", "Cache-Control"):
        if name != "Cache-Control" or status >= 400:
            headers.remove(name)
    headers.set("Content-Type", "text/plain; charset=utf-8")
    headers.set("X-Content-Type-Options", "nosniff")
    exchange.response.set_status(status)
    await exchange.response.write(f"{text}\n".encode())


async def respond_json(exchange: Exchange, status: int, value: object) -> None:
    """A JSON answer with a closing newline."""
    exchange.response.headers.set("Content-Type", "application/json")
    exchange.response.set_status(status)
    await exchange.response.write(json.dumps(value, separators=(",", ":")).encode() + b"\n")
