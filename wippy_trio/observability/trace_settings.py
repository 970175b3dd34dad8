"""The `otel` section of the configuration. Source: docs guides/observability, guides/configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from wippy_trio.core.errors import ConfigError, UnsupportedError

__all__ = ["TraceSettings"]

_PROTOCOLS = {"http": "http/protobuf", "http/protobuf": "http/protobuf", "http/json": "http/json"}
_EXPORTERS = ("otlp", "log", "none")
_PATH = "/v1/traces"


class Settings(Protocol):
    """What is read of the configuration."""

    @property
    def env(self) -> Mapping[str, str]: ...
    def get_str(self, key: str, default: str = "") -> str: ...
    def get_int(self, key: str, default: int = 0) -> int: ...
    def get_float(self, key: str, default: float = 0.0) -> float: ...
    def get_bool(self, key: str, default: bool = False) -> bool: ...
    def get_list(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]: ...


@attrs.frozen(slots=True)
class TraceSettings:
    """What is traced, and where spans go.

    Attributes:
        enabled: whether anything is.
        url: where spans are sent to.
        protocol: `http/protobuf` or `http/json`.
        exporter: `otlp`, `log` (a debug record each) or `none` (only the ring); ours.
        service_name, service_version: who the collector is told that we are.
        sample_rate: share of the traces that are kept, 0 to 1.
        propagators: `tracecontext`, `baggage`.
        http, http_extract, http_inject: requests; their headers in; headers of answers and of our own requests out.
        process: starts and ends of processes.
        queue: messages.
        calls: calls of functions.
    """

    enabled: bool = False
    url: str = f"http://localhost:4318{_PATH}"
    protocol: str = "http/protobuf"
    exporter: str = "otlp"
    service_name: str = "wippy-runtime"
    service_version: str = ""
    sample_rate: float = 1.0
    propagators: frozenset[str] = frozenset({"tracecontext", "baggage"})
    http: bool = True
    http_extract: bool = True
    http_inject: bool = True
    process: bool = True
    queue: bool = True
    calls: bool = True

    @classmethod
    def parse(cls, config: Settings) -> TraceSettings:
        """Read the `otel` section; the OTEL_ variables of the environment win over it.

        Raises:
            UnsupportedError: spans over gRPC, or metrics over OTLP, which are not built.
            ConfigError: an unknown protocol, exporter, or a rate that is no number.
        """
        env = config.env
        disabled = env.get("OTEL_SDK_DISABLED", "").lower()
        enabled = config.get_bool("otel.enabled") if disabled not in {"true", "false"} else disabled == "false"
        if not enabled:
            return cls()
        if config.get_bool("otel.metrics_enabled"):
            message = "otel.metrics_enabled: metrics over OTLP are not built; Prometheus' text is (metrics.render())"
            raise UnsupportedError(message)
        endpoint = env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or config.get_str("otel.endpoint", "localhost:4318")
        listed = env.get("OTEL_PROPAGATORS")
        names = listed.split(",") if listed else config.get_list("otel.propagators", ("tracecontext", "baggage"))
        process = all(config.get_bool(f"otel.process.{name}", True) for name in ("enabled", "trace_lifecycle"))
        return cls(
            enabled=True,
            url=_url(endpoint, insecure=config.get_bool("otel.insecure", True)),
            protocol=_protocol(env.get("OTEL_EXPORTER_OTLP_PROTOCOL") or config.get_str("otel.protocol", "http")),
            exporter=_exporter(config),
            service_name=env.get("OTEL_SERVICE_NAME") or config.get_str("otel.service_name", "wippy-runtime"),
            service_version=env.get("OTEL_SERVICE_VERSION") or config.get_str("otel.service_version"),
            sample_rate=_rate(env.get("OTEL_TRACES_SAMPLER_ARG"), config.get_float("otel.sample_rate", 1.0)),
            propagators=frozenset(name.strip() for name in names),
            http=config.get_bool("otel.http.enabled", True),
            http_extract=config.get_bool("otel.http.extract_headers", True),
            http_inject=config.get_bool("otel.http.inject_headers", True),
            process=process,
            queue=config.get_bool("otel.queue.enabled", True),
            calls=config.get_bool("otel.interceptor.enabled", True),
        )


def _url(endpoint: str, *, insecure: bool) -> str:
    """`host:port`, or a URL, as the address that takes spans."""
    scheme, separator, rest = endpoint.partition("://")
    if not separator:
        scheme, rest = "http" if insecure else "https", endpoint
    base = f"{scheme}://{rest.rstrip('/')}"
    return base if base.endswith(_PATH) else base + _PATH


def _protocol(text: str) -> str:
    if text == "grpc":
        raise UnsupportedError("otel.protocol grpc is not built: use http/protobuf (port 4318 of most collectors)")
    found = _PROTOCOLS.get(text)
    if found is None:
        raise ConfigError(f"otel.protocol {text!r} is not known", hint="one of http/protobuf, http/json")
    return found


def _exporter(config: Settings) -> str:
    if not config.get_bool("otel.traces_enabled", True):
        return "none"
    text = config.get_str("otel.exporter", "otlp")
    if text not in _EXPORTERS:
        raise ConfigError(f"otel.exporter {text!r} is not known", hint=f"one of {', '.join(_EXPORTERS)}")
    return text


def _rate(text: str | None, configured: float) -> float:
    try:
        rate = configured if not text else float(text)
    except ValueError:
        rate = configured  # as the reference: a variable that is no number counts as absent
    return min(max(rate, 0.0), 1.0)
