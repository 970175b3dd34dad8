"""The http_client module against a server of the same app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from wippy_trio.core.frame import Decision, Frame, SecurityActor
from wippy_trio.http.addresses import is_private, private_addresses

APP = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:8000", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}}
- {name: get, kind: http.endpoint, meta: {router: api}, method: GET, path: "/{what}", func: mirror}
- {name: post, kind: http.endpoint, meta: {router: api}, method: POST, path: "/{what}", func: mirror}
- {name: put, kind: http.endpoint, meta: {router: api}, method: PUT, path: "/{what}", func: mirror}
- {name: patch, kind: http.endpoint, meta: {router: api}, method: PATCH, path: "/{what}", func: mirror}
- {name: delete, kind: http.endpoint, meta: {router: api}, method: DELETE, path: "/{what}", func: mirror}
- name: mirror
  kind: function.lua
  method: main
  modules: [http]
  source: |
    local http = require('http')
    return function()
      local req, res = http.request(), http.response()
      local what = req:param('what')
      if what == 'empty' then return res:set_status(204) end
      if what == 'away' then
        res:set_header('Location', req:query('to'))
        return res:set_status(302)
      end
      res:set_header('X-Method', req:method())
      res:set_header('X-Query', req:query('q') or '')
      res:set_header('X-Auth', req:header('Authorization') or '')
      res:set_header('X-Cookie', req:header('Cookie') or '')
      res:set_header('X-Own', req:header('X-Own') or '')
      res:set_header('Set-Cookie', 'session=abc; Path=/')
      if req:is_content_type('multipart/') then
        local form = req:parse_multipart()
        local file = form.files.f[1]
        return res:write(form.values.a .. ' ' .. file:name() .. ' ' .. file:stream():read())
      end
      res:write(req:body())
    end
"""


@pytest.fixture
def client(lua):
    async def run(body: str, frame: Frame | None = None) -> Any:
        source = f"local c, url = require('http_client'), 'http://localhost:8000/x'\n{body}"
        return await lua(source, modules=["http_client"], entries=APP, frame=frame or Frame())

    return run


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_verbs(client, method: str) -> None:
    answer = await client(
        f"local r, err = c.{method}(url) return {{ r.status_code, r.headers['X-Method'], err == nil }}"
    )
    assert answer == [200, method.upper(), True]


async def test_head_and_custom(client) -> None:
    assert await client("local r = c.head(url) return { r.status_code, r.body == nil, r.body_size }") == [200, True, 0]
    assert await client("return c.request('put', url, {body = 'x'}).headers['X-Method']") == "PUT"
    assert await client("return c.request('propfind', url).status_code") == 405


async def test_options(client) -> None:
    answer = await client("""
    local r = c.post(url, { headers = {['X-Own'] = 'o', Bad = 5}, body = 'hi', query = {q = 'a b'}, timeout = '3s',
      cookies = {k = 'v'}, auth = {user = 'u', pass = 'p'}, max_response_body = 100 })
    return { r.body, r.body_size, r.url, r.headers['X-Query'], r.headers['X-Cookie'], r.headers['X-Auth'],
      r.headers['X-Own'], r.cookies.session }""")
    assert answer == ["hi", 2, "http://localhost:8000/x?q=a+b", "a b", "k=v", "Basic dTpw", "o", "abc"]


async def test_absent_fields(client) -> None:
    answer = await client(
        "local r = c.get('http://localhost:8000/empty') return { r.status_code, r.body == nil, r.cookies == nil }"
    )
    assert answer == [204, True, True]


async def test_form_files_and_readers(client) -> None:
    assert await client("return c.post(url, {form = {b = 'x y', a = '&'}}).body") == "a=%26&b=x+y"
    body = """
    local file = { name = 'f', filename = 'n.txt', content = 'data' }
    local first = c.post(url, {form = {a = '1'}, files = {file}}).body
    local stream = c.post(url, {body = 'streamed', stream = true}).stream
    local second = c.post(url, {form = {a = '2'}, files = {{ name = 'f', filename = 's', reader = stream }}}).body
    return { first, second }"""
    assert await client(body) == ["1 n.txt data", "2 s streamed"]


async def test_streams(client) -> None:
    body = """
    local r = c.post(url, {body = string.rep('x', 5000), stream = true})
    local total = 0
    while true do
      local chunk, err = r.stream:read(1000)
      if err or not chunk then break end
      total = total + #chunk
    end
    return { r.body_size, total, r.body == nil, r.stream:close() }"""
    assert await client(body) == [-1, 5000, True, True]


async def test_failures(client) -> None:
    body = "local r, err = c.get('http://localhost:1/') return { r == nil, err:kind(), err:retryable(), err:message() }"
    none, kind, retryable, message = await client(body)
    assert (none, kind, retryable) == (True, "Internal", True)
    assert "connection refused" in message
    assert await client("local r, err = c.post(url, {body = 'xxxx', max_response_body = 2}) return err:message()") == (
        "response body too large (max 2 bytes)"
    )
    kind = await client("local r, err = c.get(url, {unix_socket = '/run/x'}) return err:kind()")
    assert kind == "Unavailable"
    kind = await client("local r, err = c.get(url, {overlay_network = 'app:tor'}) return err:kind()")
    assert kind == "Unavailable"


@pytest.mark.parametrize("call", ["c.get('')", "c.get()", "c.get('x', 1)", "c.request('', 'x')", "c.request_batch({})"])
async def test_wrong_arguments_are_raised(client, call: str) -> None:
    ok, text = await client(f"local ok, err = pcall(function() {call} end) return {{ ok, tostring(err) }}")
    assert ok is False
    assert "bad argument" in text


async def test_batch(client) -> None:
    body = """
    local responses, errs = c.request_batch({ {'get', url}, {'POST', url, {body = 'two'}} })
    return { errs == nil, responses[1].headers['X-Method'], responses[2].body }"""
    assert await client(body) == [True, "GET", "two"]
    body = """
    local responses, errs = c.request_batch({ {'GET', 'http://localhost:1/'}, {'POST', url, {body = 'two'}} })
    return { responses[1] == nil, errs[1]:kind(), responses[2].body, errs[2] == nil }"""
    assert await client(body) == [True, "Internal", "two", True]
    for item, problem in (
        ("1", "each request must be a table"),
        ("{1, url}", "method must be a string"),
        ("{'GET'}", "URL must be a string"),
        ("{'GET', url, {stream = true}}", "streaming not supported in batch requests"),
    ):
        assert await client(f"local r, err = c.request_batch({{ {item} }}) return err:message()") == problem


async def test_uris(client) -> None:
    body = """
    local v, err = c.decode_uri('%zz')
    return { c.encode_uri('hello world&'), c.decode_uri('a+b%26'), v == nil, err:kind() }"""
    assert await client(body) == ["hello+world%26", "a b&", True, "Invalid"]


# ---- permissions


@attrs.frozen
class Scope:
    denied: frozenset[str]

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        return Decision.DENY if action in self.denied else Decision.ALLOW


def denying(*actions: str) -> Frame:
    return Frame(actor=SecurityActor("ann"), scope=Scope(frozenset(actions)))


@pytest.mark.parametrize(
    ("action", "options", "problem"),
    [
        ("http_client.request", "{}", "not allowed: http://localhost:8000/x"),
        ("http_client.private_ip", "{}", "not allowed: private IP 127.0.0.1"),
        ("http_client.unix_socket", "{unix_socket = '/run/x'}", "not allowed: unix socket /run/x"),
        (
            "http_client.insecure_tls",
            "{tls = {insecure_skip_verify = true}}",
            "not allowed: insecure TLS for http://localhost:8000/x",
        ),
        ("network.select", "{overlay_network = 'app:tor'}", "not allowed: network app:tor"),
    ],
)
async def test_permissions(client, action: str, options: str, problem: str) -> None:
    told = await client(
        f"local r, err = c.get(url, {options}) return {{ err:kind(), err:message(), err:retryable() }}", denying(action)
    )
    assert told == ["PermissionDenied", problem, False]
    batch = f"local r, err = c.request_batch({{ {{'GET', url, {options}}} }}) return {{ err:kind(), err:message() }}"
    assert await client(batch, denying(action)) == ["PermissionDenied", problem]


async def test_what_is_allowed_passes(client) -> None:
    assert await client("return c.get(url).status_code", denying("something.else")) == 200


async def test_a_redirect_does_not_lead_around_the_address_check(lua, environment) -> None:
    listener_app = APP.replace("127.0.0.1:8000", "example.com:80")
    source = """
    local c = require('http_client')
    local r, err = c.get('http://example.com/away?to=http://10.0.0.1/')
    return { r == nil, err:kind(), err:message() }"""
    told = await lua(source, modules=["http_client"], entries=listener_app, frame=denying("http_client.private_ip"))
    assert told == [True, "PermissionDenied", "not allowed: private IP 10.0.0.1"]


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("169.254.1.1", True), ("0.0.0.0", True), ("::1", True),
        ("fe80::1%eth0", True), ("::ffff:10.0.0.1", True), ("8.8.8.8", False), ("2001:4860:4860::8888", False),
        ("name", False),
    ],
)  # fmt: skip
def test_private_addresses(text: str, private: bool) -> None:
    assert is_private(text) is private


async def test_names_are_looked_up() -> None:
    async def resolve(name: str) -> list[str]:
        if name == "none":
            raise OSError("no such host")
        return ["8.8.8.8", "10.0.0.1"]

    assert await private_addresses("http://inner.example/", resolve) == ["10.0.0.1"]
    assert await private_addresses("http://none/", resolve) == []
    assert await private_addresses("http://[::1/", resolve) == []
    assert await private_addresses("http://sub.localhost:1/", None) == ["127.0.0.1", "::1"]
    assert await private_addresses("http://inner.example/", None) == []
