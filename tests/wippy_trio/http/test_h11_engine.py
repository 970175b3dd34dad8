"""The default engine: protocol, deadlines, limits, strictness."""

from typing import Any

import pytest
import trio

from wippy_trio.http.exchange import Exchange
from wippy_trio.http.headers import Headers
from wippy_trio.http.limits import ServerLimits

GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n"


async def hello(exchange: Exchange) -> None:
    await exchange.response.write(b"hello")


async def echo(exchange: Exchange) -> None:
    await exchange.response.write(await exchange.request.body.read_all(10**6))


async def test_a_request_and_its_answer(serving, autojump_clock) -> None:
    seen: list[Any] = []

    async def handler(exchange: Exchange) -> None:
        request = exchange.request
        seen.append((request.method, request.path, request.query, request.host, request.content_length))
        await hello(exchange)

    async with serving(handler) as served:
        answer = await served.talk(GET)
    assert seen == [("GET", "/a", "b=c", "example.com", 0)]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"Date: Thu, 01 Jan 2026 00:00:00 GMT" in head
    assert b"Content-Length: 5" in head
    assert body == b"hello"


async def test_kept_connections_and_pipelining(serving, autojump_clock) -> None:
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n"
    async with serving(echo) as served:
        answer = await served.talk(post + chunked + GET + post)
    assert answer.count(b"HTTP/1.1 200") == 4
    assert [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 ")[1:]] == [
        b"abc",
        b"def",
        b"",
        b"abc",
    ]


async def test_http_1_0_and_close_end_the_connection(serving, autojump_clock) -> None:
    async with serving(hello) as served:
        assert (await served.talk(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\nhello")
        answer = await served.talk(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET)
    assert answer.count(b"hello") == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n bad: fold\r\nX\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", 400),
        (b"GET rel HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"junk\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 5000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 30 + b"\r\n", 431),
    ],
)
async def test_refused(serving, autojump_clock, data: bytes, status: int) -> None:
    called: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        called.append(exchange)

    limits = ServerLimits(header_bytes=4096, header_count=20, body_bytes=1000)
    async with serving(handler, limits) as served:
        answer = await served.talk(data)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
    assert not called


async def test_slow_head(serving, autojump_clock) -> None:
    async with serving(hello, ServerLimits(header_s=10)) as served:
        stream = await served.connect()
        began = trio.current_time()
        for byte in GET[:12]:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.9)
        assert 10 <= trio.current_time() - began < 11
        assert (await served.listen(stream)).startswith(b"HTTP/1.1 408")


async def test_idle_connections_are_closed(serving, autojump_clock) -> None:
    async with serving(hello, ServerLimits(idle_s=7)) as served:
        stream = await served.connect()
        began = trio.current_time()
        assert await served.listen(stream, 100) == b""
        assert trio.current_time() - began < 8
        stream = await served.connect()
        await stream.send_all(GET)
        assert (await served.listen(stream, 100)).endswith(b"hello")
        assert 7 <= trio.current_time() - began < 16


@pytest.mark.parametrize("limits", [ServerLimits(body_stall_s=5), ServerLimits(read_s=5)])
async def test_slow_body(serving, autojump_clock, limits: ServerLimits) -> None:
    async with serving(echo, limits) as served:
        stream = await served.connect()
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        answer = await served.listen(stream, 30)
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"i/o timeout" in answer


async def test_a_body_that_grows_beyond_the_limit(serving, autojump_clock) -> None:
    data = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 10
    async with serving(echo, ServerLimits(body_bytes=20)) as served:
        answer = await served.talk(data)
    assert b"request body too large" in answer


async def test_slow_reader_costs_nobody_else(serving, autojump_clock) -> None:
    async def large(exchange: Exchange) -> None:
        for _ in range(20):
            await exchange.response.write(b"x" * 100_000)

    async with serving(large, ServerLimits(write_stall_s=20)) as served:
        lazy = await served.connect()
        await lazy.send_all(GET)
        await trio.testing.wait_all_tasks_blocked()
        assert served.server.connection_count == 1
        eager = await served.connect()
        await eager.send_all(GET)
        assert len(await served.listen(eager, 1)) > 2_000_000
        await trio.sleep(25)
        with pytest.raises(trio.BrokenResourceError):
            await lazy.send_all(GET * 1000)


async def test_a_client_that_leaves_cancels_the_exchange(serving, autojump_clock) -> None:
    cancelled = trio.Event()

    async def handler(exchange: Exchange) -> None:
        try:
            await trio.sleep(3600)
        finally:
            cancelled.set()

    async with serving(handler) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(1)
        await stream.aclose()
        with trio.fail_after(1):
            await cancelled.wait()


async def test_a_client_that_leaves_within_its_body(serving, autojump_clock) -> None:
    problems: list[str] = []

    async def handler(exchange: Exchange) -> None:
        try:
            await exchange.request.body.read_all(100)
        except Exception as problem:
            problems.append(str(problem))
            raise

    async with serving(handler) as served:
        stream = await served.connect()
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        await stream.aclose()
        await trio.sleep(1)
    assert problems == ["unexpected EOF"]


async def test_continue_is_sent_when_the_body_is_wanted(serving, autojump_clock) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with serving(echo) as served:
        stream = await served.connect()
        await stream.send_all(head)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(b"abc")
        assert (await served.listen(stream)).endswith(b"abc")
    async with serving(hello) as served:
        answer = await served.talk(head)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in answer


async def test_an_unread_body_is_dropped_or_ends_the_connection(serving, autojump_clock) -> None:
    async with serving(hello) as served:
        assert (await served.talk(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET)).count(
            b"hello"
        ) == 2
        large = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc"
        answer = await served.talk(large)
    assert b"Connection: close" in answer


async def test_streaming_answers(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        for text in (b"one", b"two"):
            await exchange.response.write(text)
            await exchange.response.flush()
            await trio.sleep(1)

    async with serving(handler) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        first = await stream.receive_some()
        assert first.endswith(b"3\r\none\r\n")
        assert b"Transfer-Encoding: chunked" in first
        assert await served.listen(stream) == b"3\r\ntwo\r\n0\r\n\r\n"
        answer = await served.talk(b"GET / HTTP/1.0\r\n\r\n")
        assert answer.endswith(b"onetwo")


async def test_a_failing_handler(serving, autojump_clock) -> None:
    async def early(exchange: Exchange) -> None:
        raise ValueError("secret detail")

    async def late(exchange: Exchange) -> None:
        await exchange.response.write(b"x")
        await exchange.response.flush()
        raise ValueError("late")

    async with serving(early) as served:
        answer = await served.talk(GET + GET)
        assert answer.count(b"HTTP/1.1 500") == 2
        assert b"secret" not in answer
        assert served.log[0][0] == "error"
    async with serving(late) as served:
        answer = await served.talk(GET)
        assert not answer.endswith(b"0\r\n\r\n")


async def test_a_wrong_length_breaks_the_connection_and_not_the_server(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.response.headers.set("Content-Length", "3")
        await exchange.response.write(b"hello")

    async with serving(handler) as served:
        assert not (await served.talk(GET)).endswith(b"hello")
        await served.talk(GET)


async def test_upgrade(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        stream, rest = await exchange.upgrade(Headers([("Upgrade", "test"), ("Connection", "Upgrade")]))
        await stream.send_all(rest + await stream.receive_some())

    async with serving(handler) as served:
        stream = await served.connect()
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
        await stream.send_all(b"raw")
        assert await served.listen(stream) == b"raw"


async def test_write_deadline(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        for _ in range(50):
            await exchange.response.write(b"x" * 100_000)

    async with serving(handler, ServerLimits(write_s=3)) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(4)
        assert served.server.connection_count == 0
