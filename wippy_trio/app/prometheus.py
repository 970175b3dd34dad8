"""Serves the node's metrics to Prometheus, where the configuration asks for it.

Source: docs guides/observability, guides/configuration (prometheus).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from wippy_trio.core.errors import LuaError

if TYPE_CHECKING:
    from wippy_trio.app.config import Config
    from wippy_trio.http.exchange import Exchange
    from wippy_trio.runtime import Runtime

__all__ = ["CONTENT_TYPE", "serve_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Key of the address that is listened at (`host:port`) among the runtime's `extras`.
ADDRESS = "prometheus_address"


async def serve_metrics(runtime: Runtime, config: Config, nursery: trio.Nursery) -> None:
    """Listen at `prometheus.address` where `prometheus.enabled` says so; `/metrics` has the text, `/livez` says ok.

    An address that cannot be had is logged; the node runs without.
    """
    address = config.get_str("prometheus.address")
    if not address or not config.get_bool("prometheus.enabled"):
        return
    from wippy_trio.http.server import HttpServer, ServerOptions

    async def answer(exchange: Exchange) -> None:
        await _answer(runtime, exchange)

    log = runtime.extras["log_core"].log("prometheus")
    try:
        server = HttpServer(address, answer, runtime.environment, ServerOptions(server_id="prometheus"))
        runtime.extras[ADDRESS] = await nursery.start(server.serve)
    except LuaError as problem:
        log.error("metrics are not served", address=address, error=str(problem))
        return
    log.info("metrics are served", address=runtime.extras[ADDRESS])


async def _answer(runtime: Runtime, exchange: Exchange) -> None:
    from wippy_trio.http.exchange import respond_text

    request, response = exchange.request, exchange.response
    if request.method not in {"GET", "HEAD"}:
        await respond_text(exchange, 405, "Method Not Allowed")
    elif request.path == "/metrics":
        response.headers.set("Content-Type", CONTENT_TYPE)
        response.set_status(200)
        await response.write(runtime.metrics.render().encode())
    elif request.path == "/livez":
        await respond_text(exchange, 200, "ok")
    else:
        await respond_text(exchange, 404, "404 page not found")
