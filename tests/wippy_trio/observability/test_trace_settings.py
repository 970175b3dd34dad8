from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.app.config import Config
from wippy_trio.core.errors import ConfigError, UnsupportedError
from wippy_trio.observability.trace_settings import TraceSettings


def parsed(env: Any = None, **otel: Any) -> TraceSettings:
    return TraceSettings.parse(Config({"otel": otel}, env=env or {}))


def test_off_unless_asked_for() -> None:
    assert not parsed().enabled
    assert not parsed(endpoint="x:1").enabled
    assert not parsed({"OTEL_SDK_DISABLED": "TRUE"}, enabled=True).enabled
    assert parsed({"OTEL_SDK_DISABLED": "false"}).enabled


def test_the_section() -> None:
    found = parsed(
        enabled=True,
        endpoint="collector:4318",
        insecure=False,
        protocol="http/json",
        service_name="shop",
        service_version="2",
        sample_rate=0.5,
        propagators=["tracecontext"],
        **{
            "http.enabled": False,
            "http.extract_headers": False,
            "http.inject_headers": False,
            "process.trace_lifecycle": False,
            "queue.enabled": False,
            "interceptor.enabled": False,
        },
    )
    assert found == TraceSettings(
        True,
        "https://collector:4318/v1/traces",
        "http/json",
        "otlp",
        "shop",
        "2",
        0.5,
        frozenset({"tracecontext"}),
        *[False] * 6,
    )


def test_defaults() -> None:
    assert parsed(enabled=True) == TraceSettings(enabled=True)
    assert not parsed(enabled=True, **{"process.enabled": False}).process
    assert parsed(enabled=True, traces_enabled=False).exporter == "none"
    assert parsed(enabled=True, sample_rate=7).sample_rate == 1.0


def test_variables_win() -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://far:1/base/",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_SERVICE_NAME": "env",
        "OTEL_SERVICE_VERSION": "9",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_PROPAGATORS": "baggage, b3",
    }
    found = parsed(env, enabled=True, endpoint="near:1", service_name="file", sample_rate=1.0)
    assert (found.url, found.protocol, found.sample_rate) == ("https://far:1/base/v1/traces", "http/json", 0.25)
    assert (found.service_name, found.service_version) == ("env", "9")
    assert found.propagators == {"baggage", "b3"}
    assert parsed({"OTEL_TRACES_SAMPLER_ARG": "much"}, enabled=True, sample_rate=0.5).sample_rate == 0.5
    assert parsed(enabled=True, endpoint="http://jaeger:4318/v1/traces").url == "http://jaeger:4318/v1/traces"


@pytest.mark.parametrize(
    ("otel", "error", "words"),
    [
        ({"protocol": "grpc"}, UnsupportedError, "grpc is not built: use http/protobuf"),
        ({"metrics_enabled": True}, UnsupportedError, "metrics over OTLP are not built"),
        ({"protocol": "carrier pigeon"}, ConfigError, "otel.protocol 'carrier pigeon' is not known"),
        ({"exporter": "zipkin"}, ConfigError, "otel.exporter 'zipkin' is not known"),
    ],
)
def test_what_cannot_be(otel: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        parsed(enabled=True, **otel)
