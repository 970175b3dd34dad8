"""Stream objects, as the http module hands them out (see also test_http.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.http.client import ClientRequest, HttpClient

APP = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:0", lifecycle: {auto_start: true}}
- {name: api, kind: http.router, meta: {server: gateway}}
- {name: e, kind: http.endpoint, meta: {router: api}, method: POST, path: /, func: f}
"""


@pytest.fixture
def streaming(app):
    """The JSON that a handler's Lua body answers; `stream` is the request body `b"one two\\nthree"`."""

    async def run(body: str) -> Any:
        source = (
            "local http = require('http')\n"
            f"return function() local res, stream = http.response(), http.request():stream()\n{body}\nend"
        )
        data = {"source": source, "method": "main", "modules": ["http"]}
        function = Entry(EntryId("app", "f"), "function.lua", {}, data)
        async with app(APP, extra=[function]) as running:
            client = HttpClient(running.runtime.environment)
            url = f"http://{running.serve_address('app:gateway')}/"
            response = await client.request(ClientRequest("POST", url, body=b"one two\nthree"))
            await client.aclose()
            assert response.status == 200, response.body
            return json.loads(response.body)

    return run


@pytest.mark.parametrize(
    ("split", "tokens"),
    [("", ["one two", "three"]), ("'words'", ["one", "two", "three"]), ("'bytes'", list("one two\nthree"))],
)
async def test_scanner(streaming, split: str, tokens: list[str]) -> None:
    body = f"""
    local scanner, found = stream:scanner({split}), {{}}
    while scanner:scan() do found[#found + 1] = scanner:text() end
    res:write_json({{ found, scanner:err() == nil, (scanner:scan()), tostring(scanner) }})"""
    assert await streaming(body) == [tokens, True, False, "stream.Scanner"]


async def test_what_a_body_cannot_do(streaming) -> None:
    body = """
    local n, e1 = stream:write('x')
    local p, e2 = stream:seek('cur')
    local info = stream:stat()
    res:write_json({ n, e1:kind(), p, tostring(e2), info.size, info.position, info.readable, info.writable,
      stream:flush() })"""
    assert await streaming(body) == [
        0, "Internal", -1, "stream seek: stream is not seekable", 13, -1, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "call", ["stream:seek('up')", "stream:scanner('chars')", "stream.read({})", "stream:read('x')"]
)
async def test_wrong_arguments_are_raised(streaming, call: str) -> None:
    body = f"local ok, err = pcall(function() {call} end) res:write_json({{ ok, tostring(err) }})"
    ok, text = await streaming(body)
    assert ok is False
    assert "bad argument" in text
