"""A trace through the whole node: a request in, calls, a request out, and spans at a collector."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from tests.conftest import OpenApp, entries_of
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.errors import UnsupportedError
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient
from wippy_trio.observability.trace import Span, tracer_of

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ENTRIES = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:8000", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}, middleware: [otel]}
- {name: front.get, kind: http.endpoint, meta: {router: api}, method: GET, path: /front, func: front}
- {name: back.get, kind: http.endpoint, meta: {router: api}, method: GET, path: /back, func: back}
- {name: broken.get, kind: http.endpoint, meta: {router: api}, method: GET, path: /broken, func: broken}
- name: front
  kind: function.lua
  modules: [http, http_client]
  source: |
    return function()
      local answer, err = require("http_client").get("http://127.0.0.1:8000/back?q=1")
      require("http").response():write(answer.body)
    end
- name: back
  kind: function.lua
  modules: [http]
  source: |
    local http = require("http")
    return function()
      local request = http.request()
      http.response():write((request:header("Traceparent") or "-") .. " " .. (request:header("Baggage") or "-"))
    end
- name: broken
  kind: function.lua
  source: return function() error("boom") end
"""
COLLECTOR = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:4318", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}}
- {name: traces, kind: http.endpoint, meta: {router: api}, method: POST, path: /v1/traces, func: take}
- name: take
  kind: function.lua
  modules: [http, events]
  source: |
    local http = require("http")
    return function()
      local request = http.request()
      require("events").send("collector", request:header("Content-Type"), "/", request:body())
      http.response():write("{}")
    end
"""


async def ask(running: App, path: str, **headers: str) -> ClientResponse:
    client = HttpClient(running.runtime.environment)
    try:
        return await client.request(ClientRequest("GET", f"http://127.0.0.1:8000{path}", headers))
    finally:
        await client.aclose()


def spans(running: App) -> dict[str, Span]:
    tracer = tracer_of(running.runtime.extras)
    assert tracer is not None
    return {span.name: span for span in tracer.spans()}


async def test_a_request_in_and_a_request_out(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"otel": {"enabled": True, "exporter": "none"}}) as running:
        answer = await ask(running, "/front", traceparent=HEADER, baggage="user=7")
        found = spans(running)
        served, call, sent = found["GET app:front"], found["app:front"], found["GET"]
        below, last = found["GET app:back"], found["app:back"]
        assert {span.trace_id for span in found.values()} == {HEADER[3:35]}
        assert [span.parent_id for span in (served, call, sent, below, last)] == [
            HEADER[36:52],
            *(span.span_id for span in (served, call, sent, below)),
        ]
        assert [str(span.kind) for span in (served, call, sent)] == ["server", "internal", "client"]
        assert answer.body.decode() == f"00-{HEADER[3:35]}-{sent.span_id}-01 user=7"
        assert answer.headers.get("Traceparent") == f"00-{HEADER[3:35]}-{served.span_id}-01"
        assert below.attributes == {
            "http.method": "GET",
            "http.url": "/back?q=1",
            "http.host": "127.0.0.1:8000",
            "http.route": "app:back",
            "http.status_code": 200,
        }
        assert sent.attributes["http.status_code"] == 200


async def test_a_request_that_fails(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"otel": {"enabled": True, "exporter": "none"}}) as running:
        assert (await ask(running, "/broken")).status == 500
        found = spans(running)
        assert (found["GET app:broken"].status, found["GET app:broken"].parent_id) == ("error", "")
        assert "boom" in found["app:broken"].message


async def test_headers_can_be_left_alone(app: OpenApp) -> None:
    otel = {"enabled": True, "exporter": "none", "http.extract_headers": False, "http.inject_headers": False}
    async with app(ENTRIES, settings={"otel": otel}) as running:
        answer = await ask(running, "/front", traceparent=HEADER)
        assert answer.body == b"- -"
        assert "Traceparent" not in answer.headers
        assert spans(running)["GET app:front"].trace_id != HEADER[3:35]


async def test_off_the_middleware_does_nothing(app: OpenApp) -> None:
    async with app(ENTRIES) as running:
        assert (await ask(running, "/front", traceparent=HEADER)).body == b"- -"


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
async def test_spans_reach_a_collector(app: OpenApp, environment: Any, protocol: str) -> None:
    otel = {"enabled": True, "endpoint": "http://127.0.0.1:4318", "protocol": protocol, "service_name": "shop"}
    bodies: list[tuple[str, Any]] = []
    async with app(COLLECTOR) as collector:
        collector.runtime.events.listen("collector", "", lambda event: bodies.append((event.kind, event.data)))
        config = Config({"otel": otel})
        async with open_entries(entries_of(ENTRIES), config=config, environment=environment) as running:
            await ask(running, "/front")
            await trio.sleep(3)
            assert len(bodies) == 1
            await ask(running, "/back")
        assert len(bodies) == 2, "what is left goes out at the end"
    if protocol == "http/json":
        kind, text = bodies[0]
        assert kind == "application/json"
        [told] = json.loads(text)["resourceSpans"]
        assert told["resource"]["attributes"][0]["value"] == {"stringValue": "shop"}
        assert len(told["scopeSpans"][0]["spans"]) == 5
    else:
        assert bodies[0][0] == "application/x-protobuf"
        assert b"GET app:front" in bodies[0][1]


async def test_without_a_collector_the_node_goes_on(app: OpenApp) -> None:
    async with app(ENTRIES, settings={"otel": {"enabled": True}}) as running:
        assert (await ask(running, "/back")).status == 200
        await trio.sleep(15)
        assert running.runtime.metrics.value("otel_spans_dropped_total", {"reason": "export"}) == 2
        assert (await ask(running, "/back")).status == 200


async def test_spans_in_the_log(app: OpenApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "wippy")
    async with app(ENTRIES, settings={"otel": {"enabled": True, "exporter": "log"}}) as running:
        await ask(running, "/back")
    assert [record.getMessage() for record in caplog.records].count("span") == 2


async def test_what_is_not_built_is_refused_at_the_start(app: OpenApp) -> None:
    with pytest.raises(UnsupportedError, match="grpc is not built"):
        async with app(ENTRIES, settings={"otel": {"enabled": True, "protocol": "grpc"}}):
            pass
