"""The http module, seen from a handler."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient

APP = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:0", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}}
"""


@pytest.fixture
def handle(app):
    """`await handle(body, method, target, ...)` lets a handler with this Lua body answer one request."""

    async def run(code: str, method: str = "GET", target: str = "/t/7", **request: Any) -> ClientResponse:
        source = (
            "local http = require('http') local json = require('json')\n"
            f"return function() local req, res = http.request(), http.response()\n{code}\nend"
        )
        modules = ["http", "json", "stream"]
        function = Entry(
            EntryId("app", "f"), "function.lua", {}, {"source": source, "method": "main", "modules": modules}
        )
        data = {"method": method, "path": "/t/{id}", "func": "f"}
        endpoint = Entry(EntryId("app", "e"), "http.endpoint", {"router": "api"}, data)
        async with app(APP, extra=[function, endpoint]) as running:
            client = HttpClient(running.runtime.environment)
            address = running.serve_address("app:gateway")
            response = await client.request(ClientRequest(method, f"http://{address}{target}", **request))
            await client.aclose()
            return response

    return run


async def told(handle, expression: str, *args: Any, **request: Any) -> Any:
    """The values of an expression in the handler, errors as kind and text."""
    body = f"""
    local values = table.pack({expression})
    for i = 1, values.n do
      local v = values[i]
      if v == nil then values[i] = 'nil' elseif type(v) == 'userdata' or type(v) == 'error' then
        values[i] = tostring(v.kind and v:kind() or '?') .. ': ' .. tostring(v)
      end
    end
    values.n = nil
    res:write_json(values)"""
    response = await handle(body, *args, **request)
    assert response.status == 200, response.body
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("req:method()", "GET"),
        ("req:path()", "/t/7"),
        ("req:query('a')", "1"),
        ("req:query('none')", "nil"),
        ("req:query_params().a", "1,2"),
        ("req:header('X-Two')", "b"),
        ("req:header('x-two')", "nil"),
        ("req:content_type()", "text/plain"),
        ("req:content_length()", 0),
        ("req:param('id')", "7"),
        ("req:param('none')", "nil"),
        ("req:params().id", "7"),
        ("req:has_body()", False),
        ("req:body()", ""),
        ("req:is_content_type('text/')", True),
        ("req:is_content_type('application/json')", False),
        ("req:accepts('text/html')", True),
        ("req:accepts('text/plain')", False),
        ("tostring(req)", "http.Request{method=GET, path=/t/7}"),
        ("tostring(res)", "http.Response{}"),
    ],
)
async def test_request(handle, expression: str, value: object) -> None:
    headers = {"X-Two": "b", "Accept": "text/html, text/plain;q=0.5", "Content-Type": "text/plain"}
    assert (await told(handle, expression, "GET", "/t/7?a=1&a=2", headers=headers))[0] == value


async def test_host_and_peer(handle) -> None:
    host, peer, _ = await told(handle, "(req:host()), req:remote_addr()")
    assert host.startswith("127.0.0.1:")
    assert isinstance(peer, str)


async def test_bodies(handle) -> None:
    assert await told(handle, "req:body()", "POST", body=b"hello") == ["hello"]
    assert (await told(handle, "req:body_json().a[2]", "POST", body=b'{"a":[1,"x"]}'))[0] == "x"
    assert (await told(handle, "req:has_body()", "POST", body=b"x"))[0] is True
    none, problem = await told(handle, "req:body_json()", "POST", body=b"{")
    assert (none, problem.startswith("Invalid: invalid JSON")) == ("nil", True)
    none, problem = await told(handle, "http.request({max_body = 3}):body()", "POST", body=b"hello")
    assert (none, problem) == ("nil", "Invalid: request body too large")
    first, problem = await told(handle, "(req:body()), select(2, req:body())", "POST", body=b"hello")
    assert (first, problem.startswith("Internal: failed to read body")) == ("hello", True)
    raw = await handle("res:write((req:body()))", "POST", body=b"\xff\x00")
    assert raw.body == b"\xff\x00"


async def test_body_stream(handle) -> None:
    body = """
    local stream, parts = req:stream(), {}
    while true do
      local chunk, err = stream:read(4)
      if err or not chunk then break end
      parts[#parts + 1] = chunk
    end
    local closed = stream:close()
    res:write_json({ table.concat(parts), #parts, closed, select(2, stream:read()):kind(), stream:close() })"""
    response = await handle(body, "POST", body=b"0123456789")
    assert json.loads(response.body) == ["0123456789", 3, True, "Internal", True]


async def test_uploads(handle) -> None:
    body = """
    local form = req:parse_multipart()
    local file = form.files.f[1]
    local stream = file:stream()
    local text = stream:read(0)
    local info = stream:stat()
    res:write_json({ form.values.a, form.values.b, file:name(), file:size(), file:header('content-type'), text,
      info.seekable, stream:seek('set', 1), stream:read(2), tostring(file), #form.files.f })"""
    response = await handle(
        body, "POST", form={"a": "1", "b": "two"}, files=(("f", "n.txt", b"data"), ("f", "m.txt", b""))
    )
    told_values = json.loads(response.body)
    assert told_values == [
        "1", "two", "n.txt", 4, "application/octet-stream", "data", True, 1, "at",
        "http.MultipartFile{name=n.txt, size=4}", 2,
    ]  # fmt: skip
    none, problem = await told(handle, "req:parse_multipart()", "POST", body=b"x")
    assert (none, problem) == ("nil", "Invalid: content type is not multipart/form-data")


async def test_answers(handle) -> None:
    response = await handle(
        "res:set_header('x-a', 1) res:set_content_type('text/css') res:set_status(201) res:write('x')"
    )
    assert (response.status, response.body) == (201, b"x")
    assert (response.headers.get("X-A"), response.headers.get("Content-Type")) == ("1", "text/css")
    response = await handle("res:write_json({a = {}, b = {1, 2}})")
    assert (response.body, response.headers.get("Content-Type")) == (b'{"a":[],"b":[1,2]}', "application/json")
    response = await handle("res:set_status(404) res:write_json({error = 'x'})")
    assert (response.status, response.headers.get("Content-Type")) == (404, "text/plain; charset=utf-8")
    response = await handle("for i = 1, 100 do res:write(string.rep('x', 1000)) end")
    assert len(response.body) == 100_000
    response = await handle("res:write('a') res:flush() res:write('b')")
    assert (response.body, response.headers.get("Transfer-Encoding")) == (b"ab", "chunked")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("res:set_status(200)", "Invalid: cannot set status after headers are sent"),
        ("res:set_header('a', 'b')", "Invalid: cannot set headers after they are sent"),
        ("res:set_content_type('a')", "Invalid: cannot set content type after headers are sent"),
        ("res:set_transfer('sse')", "Invalid: cannot set transfer mode after headers are sent"),
        ("res:write_event({name = 'a', data = 1})", "Invalid: cannot switch to SSE mode after headers are sent"),
    ],
)
async def test_too_late(handle, call: str, problem: str) -> None:
    body = f"res:write('x') local err = {call} res:write(err:kind() .. ': ' .. err:message())"
    assert (await handle(body)).body.decode() == f"x{problem}"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("res:set_transfer('brotli')", "invalid transfer type"),
        ("res:write_event({data = 1})", "missing event name"),
        ("res:write_event({name = 'x'})", "missing event data"),
        ("res:set_status('x')", "number expected"),
        ("res.set_status({}, 200)", "http.Response expected"),
        ("req.body({})", "http.Request expected"),
        ("http.request(1)", "table expected"),
    ],
)
async def test_wrong_arguments_are_raised(handle, call: str, problem: str) -> None:
    body = f"local ok, err = pcall(function() {call} end) res:write(tostring(ok) .. ' ' .. tostring(err))"
    text = (await handle(body)).body.decode()
    assert text.startswith("false")
    assert problem in text


async def test_events(handle) -> None:
    response = await handle(
        "res:write_event({name = 'a', data = {n = 1}}) res:write_event({name = 'b\\nx', data = 'y'})"
    )
    assert response.headers.get("Content-Type") == "text/event-stream"
    assert response.headers.get("Cache-Control") == "no-cache"
    assert response.body == b'event: a\ndata: {"n":1}\n\nevent: b x\ndata: "y"\n\n'
    response = await handle("res:set_transfer(http.TRANSFER.SSE) res:write_event({name = 'a', data = false})")
    assert response.body == b"event: a\ndata: false\n\n"


async def test_headers_cannot_be_used_to_inject(handle) -> None:
    response = await handle("res:set_header('X-A', '1\\r\\nX-B: 2') res:write('x')")
    assert ("X-B" in response.headers, response.headers.get("X-A")) == (False, "1  X-B: 2")


async def test_outside_of_a_request(lua) -> None:
    source = """
    local http = require('http')
    local req, err = http.request()
    local res, err2 = http.response()
    return { req == nil, err:kind(), err:message(), res == nil, err2:kind(),
      http.STATUS.INTERNAL_ERROR, http.CONTENT.JSON }
    """
    assert await lua(source, modules=["http"]) == [
        True, "Internal", "no HTTP request context found", True, "Internal", 500, "application/json",
    ]  # fmt: skip
