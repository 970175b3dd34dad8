"""token_auth, endpoint_firewall, resource_firewall. Source: http/middleware#token_auth and the firewalls' sections."""

from __future__ import annotations

from collections.abc import Callable

from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Decision
from wippy_trio.http.exchange import Exchange, Handler, Middleware, Request, respond_json
from wippy_trio.http.headers import parse_cookies
from wippy_trio.http.middleware import MiddlewareContext, Options, option

__all__ = ["build_endpoint_firewall", "build_resource_firewall", "build_token_auth"]


def build_token_auth(options: Options, context: MiddlewareContext) -> Middleware:
    """Set actor and scope from a valid token in header, query or cookie (tried in this order). Never blocks."""
    store_id = option(options, "token_auth.store", "token_store")
    header = option(options, "token_auth.header.name", "header_name", "Authorization")
    prefix = option(options, "token_auth.header.prefix", "header_prefix", "Bearer ")
    parameter = option(options, "token_auth.query.param", "query_param", "x-auth-token")
    cookie = option(options, "token_auth.cookie.name", "cookie_name", "x-auth-token")

    def token_of(request: Request) -> str:
        value = request.headers.get(header)
        if value.startswith(prefix):
            return value[len(prefix) :]
        values = request.query_values().get(parameter)
        if values and values[0]:
            return values[0]
        return parse_cookies(request.headers.get_all("Cookie")).get(cookie, "")

    def wrap(handler: Handler) -> Handler:
        async def authenticated(exchange: Exchange) -> None:
            token = token_of(exchange.request)
            if token:
                store = context.find_token_store(store_id)
                if store is None:
                    context.log("error", "token_auth: token store not found", {"store": store_id})
                else:
                    try:
                        actor, scope = await store.validate(token)
                    except LuaError as problem:
                        context.log("debug", "token validation failed", {"error": str(problem)})
                    else:
                        exchange.frame = exchange.frame.with_identity(actor, scope)
            await handler(exchange)

        return authenticated

    return wrap


async def _refuse(exchange: Exchange, status: int, error: str, details: str) -> None:
    await respond_json(exchange, status, {"details": details, "error": error, "success": False})


def _firewall(
    what: str, action: str, resource_of: Callable[[Exchange], str | None], context: MiddlewareContext
) -> Middleware:
    def wrap(handler: Handler) -> Handler:
        async def guarded(exchange: Exchange) -> None:
            actor, scope = exchange.frame.actor, exchange.frame.scope
            if actor is None or not actor.id:
                await _refuse(
                    exchange, 401, "Authentication required", f"You must be authenticated to access this {what}"
                )
                return
            if scope is None:
                await _refuse(exchange, 403, "Access denied", "No authorization scope available")
                return
            resource = resource_of(exchange)
            if resource is None:
                context.log("error", f"{what}_firewall: no route: use it as post_middleware", {"actor": actor.id})
                await _refuse(
                    exchange,
                    500,
                    "Configuration error",
                    f"{what}_firewall middleware must be configured as post-middleware on endpoints, "
                    "not as router-level middleware",
                )
                return
            if scope.evaluate(actor, action, resource, {}) is not Decision.ALLOW:
                context.log(
                    "warn", f"{what} firewall: permission denied",
                    {"actor_id": actor.id, "action": action, "resource": resource},
                )  # fmt: skip
                await _refuse(exchange, 403, "Access denied", f"You don't have permission to access this {what}")
                return
            await handler(exchange)

        return guarded

    return wrap


def build_endpoint_firewall(options: Options, context: MiddlewareContext) -> Middleware:
    """Let through only who may do the action on the matched endpoint; for `post_middleware`."""
    action = option(options, "endpoint_firewall.action", "endpoint_action", "access")
    return _firewall(
        "endpoint", action, lambda exchange: None if exchange.route is None else str(exchange.route.endpoint), context
    )


def build_resource_firewall(options: Options, context: MiddlewareContext) -> Middleware:
    """Let through only who may do the action on the configured resource."""
    action = option(options, "resource_firewall.action", "resource_action", "access")
    target = option(options, "resource_firewall.target", "resource_target")
    return _firewall("resource", action, lambda _exchange: target, context)
