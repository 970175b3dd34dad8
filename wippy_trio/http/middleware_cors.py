"""cors: cross-origin headers and preflight answers. Source: http/middleware#cors."""

from __future__ import annotations

import attrs

from wippy_trio.http.exchange import Exchange, Handler, Middleware
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["build_cors", "origin_allowed"]


def origin_allowed(origin: str, allowed: tuple[str, ...]) -> bool:
    """Whether an Origin is on a list that may hold `*`, exact origins, `*.example.com` and `localhost` (any port)."""
    for rule in allowed:
        if rule in ("*", origin):
            return True
        # The suffix match runs over the whole origin, so a rule may name a scheme only by listing it exactly.
        if rule.startswith("*.") and origin.endswith(rule[1:]) and len(origin) > len(rule) - 1:
            return True
        if rule == "localhost":
            for scheme in ("http", "https"):
                local = f"{scheme}://localhost"
                if origin == local or origin.startswith(f"{local}:"):
                    return True
    return False


@attrs.frozen(slots=True)
class _Cors:
    origins: tuple[str, ...]
    methods: str
    request_headers: str
    exposed_headers: str
    credentials: bool
    max_age: str
    private_network: bool

    def allows(self, origin: str) -> bool:
        return bool(origin) and origin_allowed(origin, self.origins)

    def preflight(self, exchange: Exchange, origin: str) -> None:
        self._common(exchange, origin)
        headers = exchange.response.headers
        headers.set("Access-Control-Allow-Methods", self.methods)
        headers.set("Access-Control-Allow-Headers", self.request_headers)
        headers.set("Access-Control-Max-Age", self.max_age)
        headers.set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        exchange.response.set_status(204)

    def actual(self, exchange: Exchange, origin: str) -> None:
        self._common(exchange, origin)
        if self.exposed_headers:
            exchange.response.headers.set("Access-Control-Expose-Headers", self.exposed_headers)
        exchange.response.headers.set("Vary", "Origin")

    def _common(self, exchange: Exchange, origin: str) -> None:
        headers = exchange.response.headers
        headers.set("Access-Control-Allow-Origin", origin)  # echoed even for "*", as in the reference
        if self.credentials:
            headers.set("Access-Control-Allow-Credentials", "true")
        if self.private_network:
            headers.set("Access-Control-Allow-Private-Network", "true")


def build_cors(options: Options, context: MiddlewareContext) -> Middleware:
    """Answer preflights of allowed origins with 204 and mark other answers; unknown origins pass unmarked."""
    del context
    origins = option(options, "cors.allow.origins", "allow_origins", "*")
    cors = _Cors(
        tuple(part.strip() for part in origins.split(",") if part.strip()),
        option(options, "cors.allow.methods", "allow_methods", "GET,POST,PUT,DELETE,OPTIONS,PATCH"),
        option(
            options, "cors.allow.headers", "allow_headers", "Origin,Content-Type,Accept,Authorization,X-Requested-With"
        ),
        option(options, "cors.expose.headers", "expose_headers"),
        option(options, "cors.allow.credentials", "allow_credentials") == "true",
        option(options, "cors.max.age", "max_age", "86400"),
        option(options, "cors.allow.private.network", "allow_private_network") == "true",
    )

    def wrap(handler: Handler) -> Handler:
        async def with_cors(exchange: Exchange) -> None:
            request = exchange.request
            origin = request.headers.get("Origin")
            preflight = request.method == "OPTIONS" and bool(request.headers.get("Access-Control-Request-Method"))
            if cors.allows(origin):
                if preflight:
                    cors.preflight(exchange, origin)
                    return
                cors.actual(exchange, origin)
            await handler(exchange)

        return with_cors

    return wrap
