"""One accepted connection, as an engine gets it."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from typing import Protocol

import attrs
import trio

from determinism.seams import Clock, Stream
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.http.exchange import Exchange, Handler, respond_text
from wippy_trio.http.limits import ServerLimits

__all__ = ["ClientGoneError", "Engine", "Link", "LogLine", "peer_address"]


class LogLine(Protocol):
    """Where a server writes: level, message, fields."""

    def __call__(self, level: str, message: str, fields: Mapping[str, object]) -> None: ...


class ClientGoneError(LuaError):
    """The client is no longer there to be answered."""

    kind = "Internal"
    retryable = False


@attrs.define(slots=True, eq=False)
class Link:
    """A connection and everything its engine may need.

    Attributes:
        stream: the bytes. remote_address: `address:port`. secure: over TLS.
        handler: what serves exchanges.
        frame: security context every request starts with.
        draining: the server stops: finish the current request and close.
        idle_scope: scope of the wait between requests, cancelled when draining begins.
    """

    stream: Stream
    remote_address: str
    secure: bool
    handler: Handler
    limits: ServerLimits
    clock: Clock
    log: LogLine
    server_id: str = ""
    frame: Frame = EMPTY_FRAME
    draining: bool = False
    idle_scope: trio.CancelScope | None = None

    def drain(self) -> None:
        """Close after the current request; at once when between requests."""
        self.draining = True
        if self.idle_scope is not None:
            self.idle_scope.cancel()

    def date(self) -> str:
        """The `Date` header's value now."""
        return formatdate(self.clock.wall_ns() // 10**9, usegmt=True)

    def prepare(self, exchange: Exchange) -> None:
        """Give an exchange its surroundings."""
        exchange.server_id = self.server_id
        exchange.frame = self.frame
        exchange.request.secure = self.secure

    async def handle(self, exchange: Exchange) -> bool:
        """Run the handler and finish the response; False if the response could not be completed.

        A handler's failure becomes a 500 as long as nothing has gone out. Only the exchange is affected.
        """
        try:
            with exchange.cancel_scope:
                try:
                    await self.handler(exchange)
                except ClientGoneError:
                    return False
                except Exception as problem:  # noqa: BLE001 - a handler's bug must not take the server down
                    self.log(
                        "error", "http handler failed",
                        {"error": repr(problem), "method": exchange.request.method, "path": exchange.request.path},
                    )  # fmt: skip
                    if not exchange.response.reset():
                        return False
                    text = str(problem) if isinstance(problem, LuaError) else "Internal Server Error"
                    await respond_text(exchange, 500, text)
                await exchange.response.finish()
        except ClientGoneError:
            return False
        return exchange.response.ended


class Engine(Protocol):
    """Speaks HTTP on one connection until it ends. It must not raise for anything the peer does."""

    async def serve(self, link: Link) -> None: ...


def peer_address(stream: object) -> str:
    """`address:port` of the other side where the stream knows it, else an empty text."""
    known = getattr(stream, "peer_address", None)
    if isinstance(known, str):
        return known
    inner = getattr(stream, "transport_stream", stream)
    socket = getattr(inner, "socket", None)
    if socket is None:
        return ""
    try:
        name = socket.getpeername()
    except OSError:
        return ""
    if not isinstance(name, tuple):
        return ""
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
