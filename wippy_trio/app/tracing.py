"""Puts metrics of calls and tracing into a node, where its configuration asks for them; else nothing is even imported.

Source: docs guides/observability, guides/configuration (metrics, otel).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from wippy_trio.core.errors import UnavailableError

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.app.config import Config
    from wippy_trio.functions.calls import FunctionCalls
    from wippy_trio.observability.export import SpanExporter
    from wippy_trio.observability.trace import Span, Tracer
    from wippy_trio.observability.trace_settings import TraceSettings
    from wippy_trio.runtime import Runtime

__all__ = ["OtlpExporter", "install_observers"]

_EXPORT_S = 10.0


class OtlpExporter:
    """Posts spans to a collector.

    Args:
        environment: the network.
        settings: where to, and how.
    """

    def __init__(self, environment: Environment, settings: TraceSettings) -> None:
        from wippy_trio.http.client import HttpClient

        self._client = HttpClient(environment)
        self._settings = settings
        self._resource = {"service.name": settings.service_name}
        if settings.service_version:
            self._resource["service.version"] = settings.service_version

    async def export(self, spans: Sequence[Span]) -> None:
        """See `SpanExporter`."""
        from wippy_trio.http.client import ClientRequest
        from wippy_trio.observability.otlp import CONTENT_TYPES, encode_json, encode_protobuf

        settings = self._settings
        encode = encode_json if settings.protocol == "http/json" else encode_protobuf
        headers = {"Content-Type": CONTENT_TYPES[settings.protocol]}
        body = encode(spans, self._resource)
        request = ClientRequest("POST", settings.url, headers, body, timeout_s=_EXPORT_S, max_response_bytes=65_536)
        response = await self._client.request(request)
        if response.status >= 300:
            raise UnavailableError(f"{settings.url} answered {response.status}")

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()


def install_observers(runtime: Runtime, functions: FunctionCalls, config: Config, nursery: trio.Nursery) -> None:
    """Install what the configuration asks for; nothing, and so no cost, unless it does.

    Raises:
        ConfigError: as `TraceSettings.parse`.
        UnsupportedError: as `TraceSettings.parse`.
    """
    if config.section("otel") or any(name.startswith("OTEL_") for name in config.env):
        _install_tracing(runtime, functions, config, nursery)
    if config.get_bool("metrics.interceptor.enabled"):
        from wippy_trio.functions.observe import measure

        functions.observe(measure(runtime.metrics, runtime.environment.clock))


def _install_tracing(runtime: Runtime, functions: FunctionCalls, config: Config, nursery: trio.Nursery) -> None:
    from wippy_trio.functions.observe import trace_calls
    from wippy_trio.observability.trace import Tracer
    from wippy_trio.observability.trace_settings import TraceSettings

    settings = TraceSettings.parse(config)
    if not settings.enabled:
        return
    tracer = Tracer(runtime.environment, settings)
    runtime.extras["tracer"] = tracer
    functions.observe(*([trace_calls(tracer)] if settings.calls else []))
    if settings.http:
        from wippy_trio.http.middleware_otel import otel_builder

        runtime.extras.setdefault("http_middleware", {})["otel"] = otel_builder(tracer)
    for name in sorted(settings.propagators - {"tracecontext", "baggage"}):
        runtime.log.warn("unknown propagator", name=name)
    if settings.exporter != "none":
        _export(runtime, tracer, nursery)


def _export(runtime: Runtime, tracer: Tracer, nursery: trio.Nursery) -> None:
    from wippy_trio.observability.export import Batcher, LogExporter

    log = runtime.extras["log_core"].log("otel")
    otlp = OtlpExporter(runtime.environment, tracer.settings) if tracer.settings.exporter == "otlp" else None
    exporter: SpanExporter = LogExporter(log) if otlp is None else otlp
    batcher = Batcher(exporter, log, runtime.metrics)
    tracer.on_end = batcher.offer

    async def run() -> None:
        """Until the node stops; then the rest goes out, for a short while."""
        try:
            await batcher.run()
        finally:
            with trio.CancelScope(shield=True):
                await batcher.flush()
                if otlp is not None:
                    with trio.move_on_after(1):
                        await otlp.aclose()

    nursery.start_soon(run)
