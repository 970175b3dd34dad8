"""otel: a span for each request, below the caller's. Source: http/middleware#otel, guides/observability."""

from __future__ import annotations

import attrs

from wippy_trio.core.frame import TRACE
from wippy_trio.http.exchange import Exchange, Handler, Middleware
from wippy_trio.http.middleware import MiddlewareBuilder, MiddlewareContext, Options
from wippy_trio.observability.trace import SpanKind, Tracer

__all__ = ["otel_builder"]


def otel_builder(tracer: Tracer) -> MiddlewareBuilder:
    """The middleware of a node that traces: reads `traceparent`, names the span `METHOD function`, tells it onward.

    A status of 500 or more is an error. The answer carries the span's `traceparent`.
    """

    def build(options: Options, context: MiddlewareContext) -> Middleware:
        del options, context

        def wrap(handler: Handler) -> Handler:
            async def traced(exchange: Exchange) -> None:
                await _trace(tracer, handler, exchange)

            return traced

        return wrap

    return build


async def _trace(tracer: Tracer, handler: Handler, exchange: Exchange) -> None:
    request, settings = exchange.request, tracer.settings
    route = "unmatched" if exchange.route is None else str(exchange.route.function)
    parent = tracer.extract(request.headers.get) if settings.http_extract else None
    query = f"?{request.query}" if request.query else ""
    told = {
        "http.method": request.method,
        "http.url": f"{request.raw_path}{query}",
        "http.host": request.host,
        "http.route": route,
    }
    span = tracer.begin(f"{request.method} {route}", SpanKind.SERVER, parent, told)
    if settings.http_inject:
        for name, value in tracer.headers(span.context).items():
            exchange.response.headers.set(name, value)
    frame = exchange.frame
    exchange.frame = attrs.evolve(frame, extras={**frame.extras, TRACE: span.context})
    try:
        await handler(exchange)
    except BaseException as error:
        span.finish(error)
        raise
    status = exchange.response.status or 200
    span.set({"http.status_code": status})
    span.finish(status="error" if status >= 500 else "ok")
