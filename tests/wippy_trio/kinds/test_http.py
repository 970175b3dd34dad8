"""Servers, routers, endpoints and static files as entries of an app."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from wippy_trio.actors.restart import Lifecycle
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError, NotFoundError
from wippy_trio.core.frame import SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient
from wippy_trio.kinds.http import _identity
from wippy_trio.registry.changes import Change

SERVER = """
- name: gateway
  kind: http.service
  addr: "127.0.0.1:0"
  lifecycle: {auto_start: true}
- name: api
  kind: http.router
  meta: {server: gateway}
  prefix: /api/
  middleware: [cors]
"""


def lua_function(name: str, body: str, **more: Any) -> Entry:
    source = f"local http = require('http')\nreturn function()\n{textwrap.dedent(body)}\nend"
    data = {"source": source, "method": "main", "modules": ["http", "security", "funcs", "time"], **more}
    return Entry(EntryId("app", name), "function.lua", {}, data)


def route(name: str, method: str, path: str, func: str, router: str = "api") -> Entry:
    return Entry(
        EntryId("app", name), "http.endpoint", {"router": router}, {"method": method, "path": path, "func": func}
    )


HELLO = lua_function(
    "hello", "local res = http.response() res:write('hello ' .. (http.request():param('name') or '-'))"
)


async def ask(
    running: App, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, server: str = "app:gateway"
) -> ClientResponse:
    client = HttpClient(running.runtime.environment)
    try:
        port = running.serve_address(server).rpartition(":")[2]
        return await client.request(ClientRequest(method, f"http://127.0.0.1:{port}{path}", dict(headers or {})))
    finally:
        await client.aclose()


async def test_a_request_reaches_a_function(app) -> None:
    async with app(SERVER, extra=[HELLO, route("hello.get", "GET", "/hello/{name}", "hello")]) as running:
        response = await ask(running, "/api/hello/ann", headers={"Origin": "http://x"})
        assert (response.status, response.body) == (200, b"hello ann")
        assert response.headers.get("Access-Control-Allow-Origin") == "http://x"
        assert (await ask(running, "/api/none")).status == 404
        assert (await ask(running, "/api/hello/ann", "PUT")).status == 405
        assert (await ask(running, "/api/hello/ann", "OPTIONS")).status == 204


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ("return nil, 'broken'", 500, b"broken\n"),
        ("error(errors.new(errors.INVALID, 'no way'))", 500, b"no way\n"),
        ("http.response():write('done') return nil, 'broken'", 200, b"done"),
        ("return", 500, b"no response sent\n"),
        ("return {a = 1}", 200, b""),
        ("http.response():set_status(204)", 204, b""),
    ],
)
async def test_what_a_function_leaves_is_the_answer(app, body: str, status: int, text: bytes) -> None:
    entries = [lua_function("f", body), route("f.get", "GET", "/f", "f"), route("no.get", "GET", "/no", "nobody")]
    async with app(SERVER, extra=entries) as running:
        response = await ask(running, "/api/f")
        assert (response.status, response.body) == (status, text)
        missing = await ask(running, "/api/no")
        assert (missing.status, b"handler not found: app:nobody" in missing.body) == (500, True)


async def test_routes_come_and_go_with_their_entries(app) -> None:
    async with app(SERVER, extra=[HELLO, route("one", "GET", "/{name}", "hello")]) as running:
        two = route("two", "GET", "/two", "hello")
        await running.registry.apply([Change.create(two)])
        assert (await ask(running, "/api/two")).body == b"hello -"
        with pytest.raises(LuaError, match="conflicts with"):
            await running.registry.apply([Change.create(route("three", "GET", "/{other}", "hello"))])
        await running.registry.apply([Change.delete(two.id)])
        assert (await ask(running, "/api/two")).body == b"hello two"
        router = Entry(EntryId("app", "api"), "http.router", {"server": "gateway"}, {"prefix": "/v2"})
        await running.registry.apply([Change.update(router)])
        assert (await ask(running, "/api/two")).status == 404
        assert (await ask(running, "/v2/two")).body == b"hello two"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{name: x, kind: http.service}", "address is required"),
        ('{name: x, kind: http.service, addr: "nowhere"}', "invalid listen address"),
        ('{name: x, kind: http.service, addr: ":1", timeouts: {read: "5"}}', "missing unit"),
        ('{name: x, kind: http.service, addr: ":1", timeouts: {read: "-5s"}}', "read timeout must be non-negative"),
        ('{name: x, kind: http.service, addr: ":1", host: {worker_count: -1}}', "worker_count must be non-negative"),
        ('{name: x, kind: http.service, addr: ":1", engine: uvicorn}', "invalid engine"),
        ('{name: x, kind: http.service, addr: ":1", tls: {mode: off}}', "invalid tls.mode"),
        ('{name: x, kind: http.service, addr: ":1", tls: {cert: x}}', "must not set cert/key"),
        ('{name: x, kind: http.service, addr: ":1", tls: {mode: auto}}', "requires an overlay network driver"),
        ('{name: x, kind: http.service, addr: ":1", tls: {mode: manual, cert: x}}', "requires cert"),
        (
            '{name: x, kind: http.service, addr: ":1", tls: {mode: manual, cert: x, key: y, client_auth: z}}',
            "invalid tls.client_auth",
        ),
        ("{name: x, kind: http.router, prefix: /x}", "metadata is required"),
        ("{name: x, kind: http.router, meta: {a: 1}}", "server metadata is required"),
        ("{name: x, kind: http.router, meta: {server: none}}", "server not found: app:none"),
        ("{name: x, kind: http.router, meta: {server: gateway}, prefix: /api/}", "already exists"),
        ("{name: x, kind: http.router, meta: {server: gateway}, middleware: [nope]}", "failed to create middleware"),
        ("{name: x, kind: http.router, meta: {server: gateway}, post_middleware: [nope]}", "post-match middleware"),
        ("{name: x, kind: http.router, meta: {server: gateway}, options: {a: 1}}", "options.a must be a string"),
        ("{name: x, kind: http.endpoint, method: GET, path: /}", "function name is required"),
        ("{name: x, kind: http.endpoint, method: GET, func: f}", "path is required"),
        ("{name: x, kind: http.endpoint, method: GET, func: f, path: x}", "path must start with /"),
        ("{name: x, kind: http.endpoint, func: f, path: /}", "method is required"),
        ("{name: x, kind: http.endpoint, method: get, func: f, path: /}", "invalid HTTP method: get"),
        ("{name: x, kind: http.endpoint, method: GET, func: f, path: /}", "router metadata is required"),
        ("{name: x, kind: http.endpoint, meta: {router: no}, method: GET, func: f, path: /}", "router not found"),
        ("{name: x, kind: http.static, fs: f}", "path is required"),
        ("{name: x, kind: http.static, path: x, fs: f}", "must start with /"),
        ("{name: x, kind: http.static, path: /, fs: f}", "server metadata is required"),
        ("{name: x, kind: http.static, meta: {server: gateway}, path: /}", "filesystem is required"),
        ("{name: x, kind: http.static, meta: {server: gateway}, path: /, fs: f}", "filesystem not found"),
        (
            "{name: x, kind: http.static, meta: {server: gateway}, path: /, fs: f, static_options: {spa: true}}",
            "index file is required",
        ),
    ],
)
async def test_entries_that_are_refused(app, entry: str, problem: str) -> None:
    with pytest.raises(LuaError, match=problem):
        async with app(f"{SERVER}\n- {entry}"):
            pass


async def test_static_files(app, tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_text("body{}")
    (tmp_path / "index.html").write_text("<html>")
    text = f"""
- {{name: files, kind: fs.directory, directory: {tmp_path}}}
- name: assets
  kind: http.static
  meta: {{server: gateway}}
  path: /assets
  fs: files
  static_options: {{cache: "max-age=60"}}
  middleware: [cors]
  options: {{cors.allow.origins: "http://x"}}
- name: spa
  kind: http.static
  meta: {{server: gateway}}
  path: /
  fs: files
  static_options: {{spa: true, index: index.html}}
"""
    async with app(SERVER + text, extra=[HELLO, route("one", "GET", "/hello", "hello")]) as running:
        response = await ask(running, "/assets/css/a.css", headers={"Origin": "http://x", "Range": "bytes=0-3"})
        assert (response.status, response.body) == (206, b"body")
        assert response.headers.get("Cache-Control") == "max-age=60"
        assert response.headers.get("Access-Control-Allow-Origin") == "http://x"
        assert response.headers.get("Content-Type") == "text/css; charset=utf-8"
        assert (await ask(running, "/assets/none")).status == 404
        assert (await ask(running, "/deep/link")).body == b"<html>"
        assert (await ask(running, "/css/a.css")).body == b"body{}"
        assert (await ask(running, "/api/hello")).body == b"hello -"


async def test_a_link_out_of_the_directory_is_not_served(app, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    text = f"""
- {{name: files, kind: fs.directory, directory: {tmp_path}/root}}
- {{name: site, kind: http.static, meta: {{server: gateway}}, path: /s, fs: files}}
"""
    async with app(SERVER + text) as running:
        assert (await ask(running, "/s/link")).status == 404


async def test_tokens_and_firewall(app) -> None:
    text = """
- {name: kv, kind: store.memory, lifecycle: {auto_start: true}}
- {name: tokens, kind: security.token_store, store: kv}
- {name: rule, kind: security.policy, policy: {actions: access, resources: "app:who.get", effect: allow}}
- name: guarded
  kind: http.router
  meta: {server: gateway}
  prefix: /guarded
  middleware: [token_auth]
  options: {token_auth.store: "app:tokens"}
  post_middleware: [endpoint_firewall]
"""
    login = lua_function(
        "login",
        """
        local security = require('security')
        local store = security.token_store('app:tokens')
        local scope = security.new_scope({ security.policy('app:rule') })
        http.response():write((store:create(security.new_actor('ann'), scope)))
        """,
    )
    who = lua_function("who", "http.response():write(require('security').actor():id())")
    entries = [
        login, who, route("login.post", "POST", "/login", "login"),
        route("who.get", "GET", "/who", "who", "guarded"), route("other.get", "GET", "/other", "who", "guarded"),
    ]  # fmt: skip
    async with app(SERVER + text, extra=entries) as running:
        token = (await ask(running, "/api/login", "POST")).body.decode()
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await ask(running, "/guarded/who")).status == 401
        assert (await ask(running, "/guarded/who", headers=bearer)).body == b"ann"
        assert (await ask(running, "/guarded/other", headers=bearer)).status == 403


async def test_the_server_has_an_identity(app) -> None:
    who = lua_function("who", "http.response():write(require('security').actor():id())")
    secured = SERVER.replace("auto_start: true}", "auto_start: true, security: {actor: {id: gate, meta: {a: 1}}}}")
    async with app(secured, extra=[who, route("who.get", "GET", "/who", "who")]) as running:
        assert (await ask(running, "/api/who")).body == b"gate"
        entry = running.registry.get(EntryId("app", "gateway"))
        frame = _identity(entry, Lifecycle.parse(entry), running.runtime)
        assert frame.actor == SecurityActor("gate", {"a": 1})


async def test_the_exchange_stays_with_its_handler(app) -> None:
    inner = lua_function("inner", "local res, err = http.response() return err and err:kind() or 'has one'")
    outer = lua_function("outer", "http.response():write((require('funcs').call('app:inner')))")
    async with app(SERVER, extra=[inner, outer, route("o", "GET", "/o", "outer")]) as running:
        assert (await ask(running, "/api/o")).body == b"Internal"


async def test_a_client_that_leaves_cancels_the_function(app, autojump_clock) -> None:
    slow = lua_function("slow", "require('time').sleep('1h') http.response():write('late')")
    async with app(SERVER, extra=[slow, route("s", "GET", "/s", "slow")]) as running:
        port = int(running.serve_address("app:gateway").rpartition(":")[2])
        stream = await running.runtime.environment.network.connect("127.0.0.1", port)
        await stream.send_all(b"GET /api/s HTTP/1.1\r\nHost: x\r\n\r\n")
        await trio.sleep(1)
        pool = running.runtime.functions._pools[EntryId("app", "slow")]
        assert pool.busy_count == 1
        await stream.aclose()
        await trio.sleep(1)
        assert pool.busy_count == 0


async def test_stopping_lets_requests_finish(app, autojump_clock) -> None:
    slow = lua_function("slow", "require('time').sleep('3s') http.response():write('late')")
    async with app(SERVER, extra=[slow, route("s", "GET", "/s", "slow")]) as running:
        answers: list[ClientResponse] = []

        async def request() -> None:
            answers.append(await ask(running, "/api/s"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(request)
            await trio.sleep(1)
            await running.supervisor.stop(EntryId("app", "gateway"))
        assert answers[0].body == b"late"
        with pytest.raises(NotFoundError):
            running.serve_address("app:gateway")


async def test_an_overlay_network_is_refused_at_start(app) -> None:
    text = "- {name: far, kind: http.service, addr: ':1', network: 'app:tor', lifecycle: {auto_start: true}}"
    async with app(text) as running:
        [(_, problem)] = running.failed
        assert "network overlays are not available" in str(problem)


async def test_the_other_engine(app) -> None:
    text = SERVER.replace('addr: "127.0.0.1:0"', 'addr: "127.0.0.1:0"\n  engine: hypercorn')
    async with app(text, extra=[HELLO, route("hello.get", "GET", "/hello/{name}", "hello")]) as running:
        assert (await ask(running, "/api/hello/ann")).body == b"hello ann"
