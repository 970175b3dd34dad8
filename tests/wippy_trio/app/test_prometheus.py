from __future__ import annotations

import pytest

from tests.conftest import OpenApp
from wippy_trio.app.app import App
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient

SETTINGS = {"prometheus": {"enabled": True, "address": "127.0.0.1:9090"}, "metrics": {"interceptor.enabled": True}}
ENTRIES = """
- name: f
  kind: function.lua
  modules: [metrics]
  source: return function() require("metrics").counter_inc("orders_total", { region = "eu" }) end
"""


async def ask(running: App, path: str, method: str = "GET") -> ClientResponse:
    client = HttpClient(running.runtime.environment)
    try:
        return await client.request(ClientRequest(method, f"http://127.0.0.1:9090{path}"))
    finally:
        await client.aclose()


async def test_metrics_are_served(app: OpenApp) -> None:
    async with app(ENTRIES, settings=SETTINGS) as running:
        await running.call("app:f")
        answer = await ask(running, "/metrics")
        assert answer.status == 200
        assert answer.headers.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        lines = answer.body.decode().splitlines()
        assert 'orders_total{region="eu"} 1' in lines
        assert 'wippy_function_calls{function_id="app:f",status="success"} 1' in lines
        assert (await ask(running, "/livez")).body == b"ok\n"
        assert [(await ask(running, path, method)).status for path, method in (("/", "GET"), ("/metrics", "POST"))] == [
            404,
            405,
        ]


@pytest.mark.parametrize("prometheus", [{}, {"enabled": True}, {"address": "127.0.0.1:9090"}])
async def test_nothing_listens_unless_asked_to(app: OpenApp, prometheus: dict[str, object]) -> None:
    async with app(settings={"prometheus": prometheus}) as running:
        assert "prometheus_address" not in running.runtime.extras


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:9090"])
async def test_an_address_that_cannot_be_had_is_logged(
    app: OpenApp, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    async with app(settings=SETTINGS), app(settings={"prometheus": {"enabled": True, "address": address}}) as running:
        assert "prometheus_address" not in running.runtime.extras
    assert "metrics are not served" in [record.getMessage() for record in caplog.records]
