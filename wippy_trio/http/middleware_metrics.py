"""metrics: counts, durations and requests in flight. Source: http/middleware#metrics."""

from __future__ import annotations

from wippy_trio.http.exchange import Exchange, Handler, Middleware
from wippy_trio.http.middleware import MiddlewareContext, Options

__all__ = ["build_metrics"]

REQUESTS_TOTAL = "wippy_http_requests_total"
REQUEST_DURATION = "wippy_http_request_duration_seconds"
REQUESTS_IN_FLIGHT = "wippy_http_requests_in_flight"


def build_metrics(options: Options, context: MiddlewareContext) -> Middleware:
    """Write the three HTTP metrics; nothing where metrics are off. The route label is the endpoint's function."""
    del options
    metrics = context.metrics

    def wrap(handler: Handler) -> Handler:
        if metrics is None:
            return handler

        async def measured(exchange: Exchange) -> None:
            route = "unmatched" if exchange.route is None else str(exchange.route.function)
            labels = {"method": exchange.request.method, "route": route}
            begun_s = context.clock.monotonic_s()
            metrics.gauge_add(REQUESTS_IN_FLIGHT, 1, labels)
            try:
                await handler(exchange)
            finally:
                metrics.gauge_add(REQUESTS_IN_FLIGHT, -1, labels)
            done = {**labels, "status": str(exchange.response.status or 200)}
            metrics.counter_add(REQUESTS_TOTAL, 1, done)
            metrics.observe(REQUEST_DURATION, context.clock.monotonic_s() - begun_s, done)

        return measured

    return wrap
