"""The demo shop: every route, its workers, and its own Lua tests, under the virtual clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from determinism.seams import Environment
from wippy_trio.app.app import App, open_app
from wippy_trio.cli.testing import run_tests, select_tests
from wippy_trio.core.errors import UnavailableError
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient

SHOP = Path(__file__).parents[2] / "docs" / "examples" / "shop"
OVERRIDES = ["app:db:file=:memory:", "app:gateway:addr=127.0.0.1:0"]
ORDER = {"customer": "Ann", "items": [{"sku": "tea", "quantity": 2}]}


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    value: Any


class Browser:
    """Asks a running shop."""

    def __init__(self, app: App) -> None:
        self._client = HttpClient(app.runtime.environment)
        self._base = f"http://{app.serve_address('app:gateway')}"

    async def __call__(self, method: str, path: str, body: Any = None, token: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = ClientRequest(method, self._base + path, headers, content)
        response: ClientResponse = await self._client.request(request)
        is_json = response.headers.get("Content-Type").startswith("application/json")
        value = json.loads(response.body) if is_json else response.body.decode()
        return Answer(response.status, dict(response.headers.items()), value)

    async def until(self, path: str, test: Callable[[Answer], bool]) -> Answer:
        for _ in range(200):
            answer = await self("GET", path)
            if test(answer):
                return answer
            await trio.sleep(0.1)
        raise AssertionError(f"{path}: still {answer}")

    async def login(self, user: str) -> str:
        answer = await self("POST", "/api/login", {"user": user, "password": "demo"})
        assert answer.status == 200
        return str(answer.value["token"])

    async def aclose(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def shop(environment: Environment) -> AsyncIterator[tuple[App, Browser]]:
    async with open_app(str(SHOP), overrides=OVERRIDES, environment=environment, env={}) as app:
        assert app.failed == []
        assert app.problems == ()
        ask = Browser(app)
        await ask.until("/api/health", lambda answer: answer.status == 200)
        try:
            yield app, ask
        finally:
            await ask.aclose()


async def test_an_order_is_placed_and_packed(environment) -> None:
    async with shop(environment) as (_, ask):
        placed = await ask("POST", "/api/orders", ORDER)
        assert placed.status == 201
        assert placed.headers["Location"] == "/api/orders/1"
        assert (placed.value["total_cents"], placed.value["status"]) == (1580, "new")
        packed = await ask.until("/api/orders/1", lambda answer: answer.value["status"] == "packed")
        assert packed.value["items"] == ORDER["items"]
        listed = await ask("GET", "/api/orders?status=packed&limit=5")
        assert (listed.value["count"], listed.value["orders"][0]["id"]) == (1, 1)
        await ask.until("/api/stats", lambda answer: answer.value == {"created": 1, "packed": 1})


async def test_who_asks_again_has_ordered_once(environment) -> None:
    async with shop(environment) as (_, ask):
        order = {"customer": "Ann", "items": [{"sku": "pot", "quantity": 4}], "key": "ann-1"}
        first, again = await ask("POST", "/api/orders", order), await ask("POST", "/api/orders", order)
        assert [answer.status for answer in (first, again)] == [201, 201]
        assert first.value["id"] == again.value["id"]
        assert (await ask("POST", "/api/orders", {**order, "key": "ann-2"})).status == 409  # three are left
        assert (await ask("GET", "/api/orders")).value["count"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "/api/orders/99", None, 404, "order 99 not found"),
        ("GET", "/api/orders/x", None, 400, "an order's id is a number"),
        ("GET", "/api/orders?limit=0", None, 400, "limit is a number from 1 to 200"),
        ("POST", "/api/orders", b"{broken", 400, "the body must be a JSON object"),
        ("POST", "/api/orders", {"customer": "Ann"}, 400, "items"),
        ("POST", "/api/orders", {**ORDER, "discount": "nope"}, 400, "no discount nope"),
        ("POST", "/api/orders", {**ORDER, "items": [{"sku": "pot", "quantity": 99}]}, 409, "only 7 of pot left"),
        ("POST", "/api/login", {"user": "owner", "password": "guess"}, 401, "wrong user or password"),
        ("GET", "/api/staff/me", None, 401, "Authentication required"),
    ],
)
async def test_refusals_are_json(environment, method: str, path: str, body: Any, status: int, text: str) -> None:
    async with shop(environment) as (_, ask):
        answer = await ask(method, path, body)
        assert answer.status == status
        error = answer.value["error"] if isinstance(answer.value, dict) else answer.value
        assert text in error


async def test_products_are_cached_for_a_while(environment) -> None:
    async with shop(environment) as (_, ask):
        first, second = await ask("GET", "/api/products"), await ask("GET", "/api/products")
        await trio.sleep(31)
        third = await ask("GET", "/api/products")
        assert [answer.headers["X-Cache"] for answer in (first, second, third)] == ["miss", "hit", "miss"]
        assert [product["sku"] for product in third.value["products"]] == ["cup", "pot", "tea"]


async def test_the_owner_makes_a_function_that_orders_use(environment) -> None:
    async with shop(environment) as (_, ask):
        clerk, owner = await ask.login("clerk"), await ask.login("owner")
        me = await ask("GET", "/api/staff/me", token=clerk)
        assert me.value == {"id": "user:clerk", "role": "clerk", "may_create_discounts": False}
        discount = {"name": "summer", "percent": 10}
        assert (await ask("POST", "/api/staff/discounts", discount, clerk)).status == 403
        made = await ask("POST", "/api/staff/discounts", discount, owner)
        assert (made.status, made.value["ten_thousand_becomes"]) == (201, 9000)
        placed = await ask("POST", "/api/orders", {**ORDER, "discount": "summer"})
        assert placed.value["total_cents"] == 1422
        wrong = await ask("POST", "/api/staff/discounts", {"name": "x", "percent": 100}, owner)
        assert wrong.status == 400


async def test_tokens_expire(environment) -> None:
    async with shop(environment) as (_, ask):
        token = await ask.login("owner")
        await trio.sleep(3601)
        assert (await ask("GET", "/api/staff/me", token=token)).status == 401


async def test_the_page_and_its_events(environment) -> None:
    async with shop(environment) as (app, ask):
        page = await ask("GET", "/")
        assert page.status == 200
        assert 'new EventSource("/api/events")' in page.value
        host, _, port = app.serve_address("app:gateway").rpartition(":")
        stream = await app.runtime.environment.network.connect(host, int(port))
        await stream.send_all(b"GET /api/events HTTP/1.1\r\nHost: shop\r\n\r\n")
        seen = b""

        async def read_until(text: bytes) -> None:
            nonlocal seen
            with trio.fail_after(30):
                while text not in seen:
                    seen += await stream.receive_some(65_536)

        await read_until(b"event: ready")
        await ask("POST", "/api/orders", ORDER)
        await read_until(b"event: order.packed")
        assert b"text/event-stream" in seen
        assert seen.index(b"event: order.created") < seen.index(b"event: order.packed")
        await stream.aclose()


async def test_the_packer_is_started_again_and_loses_nothing(environment) -> None:
    async with shop(environment) as (app, ask):
        await ask("POST", "/api/orders", ORDER)
        pid = app.runtime.processes.lookup("packer")
        app.runtime.processes.find(pid).terminate_now(UnavailableError("the packer fell over"))
        await ask.until("/api/orders/1", lambda answer: answer.value["status"] == "packed")


async def test_its_own_tests_pass(environment) -> None:
    async with shop(environment) as (app, _):
        outcomes = [outcome async for outcome in run_tests(app, select_tests(app.registry.all()), 60.0)]
        assert [outcome.error for outcome in outcomes] == [""] * 5
