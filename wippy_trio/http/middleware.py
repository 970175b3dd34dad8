"""Middleware by name: what an entry's `middleware` list and string options become.

Every builder takes the options and a `MiddlewareContext` and returns a wrapper of handlers. Names and option keys are
the reference's; older underscore keys are accepted. Source: http/middleware, spec system/http (middleware).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import attrs

from determinism.seams import Clock
from wippy_trio.core.errors import InvalidError, UnsupportedError
from wippy_trio.core.frame import ScopeLike, SecurityActor
from wippy_trio.http.exchange import Exchange, Handler, Middleware, respond_text
from wippy_trio.http.files import ServedFiles

__all__ = [
    "HttpMetrics",
    "MiddlewareBuilder",
    "MiddlewareContext",
    "Options",
    "TokenStore",
    "build_chain",
    "option",
    "pass_through",
    "unsupported_relay",
]

Options = Mapping[str, str]


class TokenStore(Protocol):
    """What token_auth needs of a token store."""

    async def validate(self, token: str) -> tuple[SecurityActor, ScopeLike | None]:
        """The identity behind a token; raises a `LuaError` for a bad one."""


class HttpMetrics(Protocol):
    """What the metrics middleware writes to; `labels` are text by name."""

    def counter_add(self, name: str, amount: float, labels: Mapping[str, str]) -> None: ...
    def gauge_add(self, name: str, amount: float, labels: Mapping[str, str]) -> None: ...
    def observe(self, name: str, value: float, labels: Mapping[str, str]) -> None: ...


def _nothing(_id: str) -> None:
    return None


def _no_log(_level: str, _message: str, _fields: Mapping[str, object]) -> None:
    return None


@attrs.frozen(slots=True)
class MiddlewareContext:
    """What middleware may use of the runtime.

    Attributes:
        clock: time for rates and durations.
        find_token_store: the store of an entry id, None where there is none.
        find_files: the file system of an entry id, None where there is none.
        metrics: where numbers go, None where metrics are off.
        log: level (`debug` ... `error`), message, fields.
        extra: further builders by name; they win over the built-in ones (relays come from the process side).
    """

    clock: Clock
    find_token_store: Callable[[str], TokenStore | None] = _nothing
    find_files: Callable[[str], ServedFiles | None] = _nothing
    metrics: HttpMetrics | None = None
    log: Callable[[str, str, Mapping[str, object]], None] = _no_log
    extra: Mapping[str, MiddlewareBuilder] = attrs.field(factory=dict)


MiddlewareBuilder = Callable[[Options, MiddlewareContext], Middleware]


def option(options: Options, name: str, legacy: str = "", default: str = "") -> str:
    """An option by its dotted name, then by its old name; empty text means the default."""
    value = options.get(name)
    if value is None and legacy:
        value = options.get(legacy)
    return value or default


def pass_through(_options: Options, _context: MiddlewareContext) -> Middleware:
    """Middleware that changes nothing (otel while tracing is off)."""
    return lambda handler: handler


def unsupported_relay(name: str, header: str) -> MiddlewareBuilder:
    """A relay that is not built: requests pass, but a handler that asks for the relay gets 501."""

    def build(_options: Options, context: MiddlewareContext) -> Middleware:
        def wrap(handler: Handler) -> Handler:
            async def relay(exchange: Exchange) -> None:
                await handler(exchange)
                if header not in exchange.response.headers:
                    return
                exchange.response.headers.remove(header)
                problem = UnsupportedError(f"the {name} middleware is not available: see docs/reference/status.md")
                context.log("error", str(problem), {"path": exchange.request.path})
                if exchange.response.reset():
                    await respond_text(exchange, 501, str(problem))

            return relay

        return wrap

    return build


def build_chain(
    names: Iterable[str], options: Options, context: MiddlewareContext, *, post_match: bool = False
) -> tuple[Middleware, ...]:
    """The middleware of a `middleware` (or `post_middleware`) list, first listed outermost.

    Raises:
        InvalidError: a name nobody provides.
    """
    from wippy_trio.http.middleware_catalogue import BUILDERS

    chain = []
    for name in names:
        builder = context.extra.get(name) or BUILDERS.get(name)
        if builder is None:
            what = "post-match middleware" if post_match else "middleware"
            problem = f"middleware not found: {name}"
            raise InvalidError(f"failed to create {what}: {problem}", details={"middleware": name, "cause": problem})
        chain.append(builder(options, context))
    return tuple(chain)
