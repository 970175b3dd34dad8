"""The built-in middleware by name. Source: http/middleware."""

from __future__ import annotations

from collections.abc import Mapping

from wippy_trio.http.middleware import MiddlewareBuilder, pass_through, unsupported_relay
from wippy_trio.http.middleware_auth import build_endpoint_firewall, build_resource_firewall, build_token_auth
from wippy_trio.http.middleware_compress import build_compress
from wippy_trio.http.middleware_cors import build_cors
from wippy_trio.http.middleware_metrics import build_metrics
from wippy_trio.http.middleware_ratelimit import build_ratelimit
from wippy_trio.http.middleware_realip import build_real_ip
from wippy_trio.http.middleware_sendfile import build_sendfile

__all__ = ["BUILDERS"]

BUILDERS: Mapping[str, MiddlewareBuilder] = {
    "compress": build_compress,
    "cors": build_cors,
    "endpoint_firewall": build_endpoint_firewall,
    "metrics": build_metrics,
    "otel": pass_through,
    "ratelimit": build_ratelimit,
    "real_ip": build_real_ip,
    "resource_firewall": build_resource_firewall,
    "sendfile": build_sendfile,
    "sse_relay": unsupported_relay("sse_relay", "X-SSE-Relay"),
    "token_auth": build_token_auth,
    "websocket_relay": unsupported_relay("websocket_relay", "X-WS-Relay"),
}
