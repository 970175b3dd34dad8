"""The client against our own server, over a network in memory."""

import gzip

import pytest
import trio

from wippy_trio.core.errors import InvalidError
from wippy_trio.http.client import ClientRequest, HttpClient, RequestFailedError
from wippy_trio.http.client_pool import ClientPool, PoolLimits
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.multipart import read_form
from wippy_trio.http.tls import ClientTls


def url_of(served, path: str = "/") -> str:
    return f"http://localhost:{served.server.address.rpartition(':')[2]}{path}"


async def mirror(exchange: Exchange) -> None:
    request, response = exchange.request, exchange.response
    body = await request.body.read_all(10**6)
    response.headers.set("X-Method", request.method)
    response.headers.set("X-Target", request.raw_path + (f"?{request.query}" if request.query else ""))
    for name, value in request.headers.items():
        response.headers.add(f"X-Got-{name}", value)
    await response.write(body)


async def test_a_request(serving, environment, autojump_clock) -> None:
    async with serving(mirror) as served:
        client = HttpClient(environment)
        response = await client.request(
            ClientRequest(
                "POST", url_of(served, "/a b/é?x=1&y=2"), {"x-own": "1"}, b"body", {"x": "7", "z": "a b"},
                cookies={"c": "1", "d": "2"}, auth=("ann", "pw"),
            )
        )  # fmt: skip
        await client.aclose()
    assert (response.status, response.body) == (200, b"body")
    assert response.headers.get("X-Target") == "/a%20b/%C3%A9?x=7&y=2&z=a+b"
    assert response.headers.get("X-Got-X-Own") == "1"
    assert response.headers.get("X-Got-Cookie") == "c=1; d=2"
    assert response.headers.get("X-Got-Authorization") == "Basic YW5uOnB3"
    assert response.headers.get("X-Got-Accept-Encoding") == "gzip"


async def test_connections_are_kept_and_bounded(serving, environment, autojump_clock) -> None:
    async with serving(mirror, ServerLimits(idle_s=1000)) as served:
        pool = ClientPool(environment, PoolLimits(idle_per_host_count=2, idle_s=50))
        client = HttpClient(environment, pool)
        for _ in range(3):
            await client.request(ClientRequest("GET", url_of(served)))
        assert (pool.idle_count, served.server.connection_count) == (1, 1)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.request, ClientRequest("GET", url_of(served)))
        assert pool.idle_count == 2
        await trio.sleep(60)
        await client.request(ClientRequest("GET", url_of(served)))
        assert pool.idle_count == 1
        await client.aclose()
        assert pool.idle_count == 0


async def test_a_kept_connection_the_server_closed_is_tried_anew(serving, environment, autojump_clock) -> None:
    async with serving(mirror, ServerLimits(idle_s=5)) as served:
        client = HttpClient(environment)
        await client.request(ClientRequest("GET", url_of(served)))
        await trio.sleep(10)
        assert (await client.request(ClientRequest("PUT", url_of(served), body=b"x"))).body == b"x"
        await trio.sleep(10)
        with pytest.raises(RequestFailedError):
            await client.request(ClientRequest("POST", url_of(served), body=b"x"))


async def test_open_connections_are_bounded(serving, environment, autojump_clock) -> None:
    running = most = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    async with serving(handler) as served:
        client = HttpClient(environment, ClientPool(environment, PoolLimits(open_count=2)))
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(client.request, ClientRequest("GET", url_of(served)))
        await client.aclose()
    assert most == 2


@pytest.mark.parametrize(
    ("status", "method", "seen_method", "seen_body"),
    [(301, "POST", "GET", b""), (302, "POST", "GET", b""), (303, "PUT", "GET", b""), (307, "POST", "POST", b"x"),
     (308, "PUT", "PUT", b"x"), (302, "HEAD", "HEAD", b"")],
)  # fmt: skip
async def test_redirects(serving, environment, status, method, seen_method, seen_body) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.request.path == "/from":
            exchange.response.headers.set("Location", "/to?q=1")
            exchange.response.set_status(status)
            return
        await mirror(exchange)

    async with serving(handler) as served:
        client = HttpClient(environment)
        body = b"" if method == "HEAD" else b"x"
        response = await client.request(ClientRequest(method, url_of(served, "/from"), body=body))
        await client.aclose()
    assert response.url.endswith("/to?q=1")
    assert (response.headers.get("X-Method"), response.body) == (seen_method, seen_body)
    assert response.headers.get("X-Got-Referer").endswith("/from")


async def test_redirects_end_and_keep_secrets_at_home(serving, environment, autojump_clock) -> None:
    other = ""

    async def handler(exchange: Exchange) -> None:
        exchange.response.headers.set("Location", other or exchange.request.path)
        exchange.response.set_status(302)

    async with serving(handler) as served, serving(mirror) as elsewhere:
        client = HttpClient(environment)
        with pytest.raises(RequestFailedError, match="stopped after 10 redirects"):
            await client.request(ClientRequest("GET", url_of(served)))
        other = url_of(elsewhere).replace("localhost", "127.0.0.1")
        response = await client.request(ClientRequest("GET", url_of(served), {"X-A": "1"}, auth=("ann", "pw")))
        await client.aclose()
    assert response.headers.get("X-Got-X-A") == "1"
    assert "X-Got-Authorization" not in response.headers


async def test_gzip_is_undone_where_we_asked_for_it(serving, environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.response.headers.set("Content-Encoding", "gzip")
        await exchange.response.write(gzip.compress(b"x" * 100_000))

    async with serving(handler) as served:
        client = HttpClient(environment)
        response = await client.request(ClientRequest("GET", url_of(served)))
        assert (response.body, "Content-Encoding" in response.headers) == (b"x" * 100_000, False)
        with pytest.raises(RequestFailedError, match="too large"):
            await client.request(ClientRequest("GET", url_of(served), max_response_bytes=1000))
        raw = await client.request(ClientRequest("GET", url_of(served), {"Accept-Encoding": "gzip"}))
        assert gzip.decompress(raw.body) == b"x" * 100_000
        await client.aclose()


async def test_streamed_bodies(serving, environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        for number in range(3):
            await exchange.response.write(b"%d" % number)
            await exchange.response.flush()
            await trio.sleep(1)

    async with serving(handler) as served:
        client = HttpClient(environment)
        response = await client.request(ClientRequest("GET", url_of(served), stream=True))
        assert [await response.read(100) for _ in range(4)] == [b"0", b"1", b"2", b""]
        await response.aclose()
        response = await client.request(ClientRequest("GET", url_of(served), stream=True))
        await response.aclose()
        response = await client.request(ClientRequest("GET", url_of(served), stream=True, timeout_s=1.5))
        assert await response.read(1) == b"0"
        assert await response.read(1) == b"1"
        with pytest.raises(RequestFailedError, match="deadline exceeded"):
            await response.read(1)
        await client.aclose()


async def test_timeout(serving, environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        await trio.sleep_forever()

    async with serving(handler) as served:
        client = HttpClient(environment)
        began = trio.current_time()
        with pytest.raises(RequestFailedError, match=r'Get "http://localhost.*awaiting headers') as caught:
            await client.request(ClientRequest("GET", url_of(served), timeout_s=3))
        assert trio.current_time() - began == pytest.approx(3)
        assert (caught.value.kind, caught.value.retryable) == ("Internal", True)
        with pytest.raises(RequestFailedError):
            await client.request(ClientRequest("GET", url_of(served)))
        assert trio.current_time() - began == pytest.approx(33)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://localhost:1/", "connection refused"),
        ("ftp://x/", 'unsupported protocol scheme "ftp"'),
        ("nonsense", 'unsupported protocol scheme ""'),
        ("http:///x", "no Host"),
        ("http://x:99999/", "invalid port"),
        ("http://[::1/", "Invalid IPv6"),
    ],
)
async def test_no_connection(environment, autojump_clock, url: str, problem: str) -> None:
    with pytest.raises(RequestFailedError, match=problem):
        await HttpClient(environment).request(ClientRequest("GET", url))


async def test_no_http(environment, autojump_clock) -> None:
    answers = [b"junk\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"]
    listener = await environment.network.listen("localhost", 80)
    client = HttpClient(environment)

    async def answer(data: bytes) -> None:
        stream = await listener.accept()
        await stream.receive_some()
        await stream.send_all(data)
        await stream.aclose()

    for data, problem in zip(answers, ("malformed HTTP response", "EOF", "unexpected EOF"), strict=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, data)
            with pytest.raises(RequestFailedError, match=problem):
                await client.request(ClientRequest("GET", "http://localhost"))


async def test_forms_and_uploads(serving, environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        kind = exchange.request.headers.get("Content-Type")
        if kind.startswith("multipart/"):
            values, files = await read_form(exchange.request.body, kind, limit_bytes=1000)
            [file] = files["f"]
            await exchange.response.write(f"{values} {file.filename} {file.content!r}".encode())
        else:
            await mirror(exchange)

    async with serving(handler) as served:
        client = HttpClient(environment)
        response = await client.request(ClientRequest("POST", url_of(served), form={"b": "x y", "a": "&"}))
        assert response.body == b"a=%26&b=x+y"
        response = await client.request(
            ClientRequest("POST", url_of(served), form={"a": "1"}, files=(("f", "n.txt", b"data"),))
        )
        assert response.body == b"{'a': ['1']} n.txt b'data'"
        with pytest.raises(RequestFailedError):
            await client.request(ClientRequest("POST", url_of(served), files=(("", "n", b"x"),)))
        await client.aclose()


async def test_cookies_of_an_answer(serving, environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        for value in ("a=1; Path=/", 'b="two"', "junk"):
            exchange.response.headers.add("Set-Cookie", value)
        exchange.response.set_status(204)

    async with serving(handler) as served:
        client = HttpClient(environment)
        response = await client.request(ClientRequest("GET", url_of(served)))
        await client.aclose()
    assert response.cookies() == {"a": "1", "b": "two"}


async def test_headers_cannot_inject(serving, environment, autojump_clock) -> None:
    async with serving(mirror) as served:
        client = HttpClient(environment)
        response = await client.request(ClientRequest("GET", url_of(served), {"X-A": "1\r\nX-B: 2"}))
        await client.aclose()
    assert "X-Got-X-B" not in response.headers


def test_certificate_and_key_belong_together() -> None:
    with pytest.raises(InvalidError):
        ClientTls(cert="x")
