"""The other engine: the same exchanges, HTTP/2 too, and the deadlines hypercorn has not."""

from typing import Any

import pytest
import trio

from wippy_trio.http.exchange import Exchange
from wippy_trio.http.hypercorn_engine import HypercornEngine
from wippy_trio.http.limits import ServerLimits

GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n"


async def echo(exchange: Exchange) -> None:
    body = await exchange.request.body.read_all(10**6)
    await exchange.response.write(exchange.request.path.encode() + b":" + body)


@pytest.fixture
def engine() -> HypercornEngine:
    return HypercornEngine()


async def test_requests_on_one_connection(serving, engine, autojump_clock) -> None:
    post = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    async with serving(echo, engine=engine) as served:
        stream = await served.connect()
        for data, end in ((GET, b"/a:"), (post, b"/p:abc"), (GET, b"/a:")):
            await stream.send_all(data)
            answer = await served.listen(stream, 1)
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(end)
        assert b"date: Thu, 01 Jan 2026 00:00:02 GMT" in answer


async def test_streaming_and_failures(serving, engine, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.request.path == "/fail":
            raise ValueError("no")
        for text in (b"one", b"two"):
            await exchange.response.write(text)
            await exchange.response.flush()

    async with serving(handler, engine=engine) as served:
        assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n" in await served.talk(GET)
        assert (await served.talk(b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 500")


async def test_slow_head_and_idle(serving, engine, autojump_clock) -> None:
    async with serving(echo, ServerLimits(header_s=10, idle_s=7), engine=engine) as served:
        stream = await served.connect()
        await stream.send_all(b"GET / HT")
        await trio.sleep(9)
        assert served.server.connection_count == 1
        await trio.sleep(2)
        assert served.server.connection_count == 0
        await served.connect()
        await trio.sleep(8)
        assert served.server.connection_count == 0
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(9)
        assert served.server.connection_count == 0


async def test_slow_body(serving, engine, autojump_clock) -> None:
    async with serving(echo, ServerLimits(body_stall_s=5), engine=engine) as served:
        stream = await served.connect()
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert b"i/o timeout" in await served.listen(stream, 20)


async def test_a_client_that_leaves_cancels_the_exchange(serving, engine, autojump_clock) -> None:
    cancelled = trio.Event()

    async def handler(exchange: Exchange) -> None:
        try:
            await trio.sleep(3600)
        finally:
            cancelled.set()

    async with serving(handler, engine=engine) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(1)
        await stream.aclose()
        with trio.fail_after(1):
            await cancelled.wait()


async def test_a_reader_that_stalls_is_dropped(serving, engine, autojump_clock) -> None:
    async def large(exchange: Exchange) -> None:
        for _ in range(100):
            await exchange.response.write(b"x" * 100_000)

    async with serving(large, ServerLimits(write_stall_s=20), engine=engine) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(25)
        assert served.server.connection_count == 0


async def test_stop_lets_requests_end(serving, engine, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        await trio.sleep(5)
        await exchange.response.write(b"done")

    async with serving(handler, engine=engine) as served:
        idle, busy = await served.connect(), await served.connect()
        await busy.send_all(GET)
        await trio.sleep(1)
        began = trio.current_time()
        assert await served.server.stop(30)
        assert trio.current_time() - began < 6
        assert (await served.listen(busy)).endswith(b"done")
        assert await served.listen(idle) == b""


async def test_http_2(serving, engine, autojump_clock) -> None:
    import h2.config
    import h2.connection
    import h2.events

    async with serving(echo, engine=engine) as served:
        stream = await served.connect()
        machine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        machine.initiate_connection()
        fields = [(":method", "POST"), (":path", "/h2"), (":scheme", "http"), (":authority", "x")]
        machine.send_headers(1, fields)
        machine.send_data(1, b"body", end_stream=True)
        await stream.send_all(machine.data_to_send())
        seen: dict[str, Any] = {"body": b""}
        with trio.move_on_after(2):
            while "end" not in seen:
                for event in machine.receive_data(await stream.receive_some()):
                    if isinstance(event, h2.events.ResponseReceived):
                        seen["headers"] = dict(event.headers)
                    elif isinstance(event, h2.events.DataReceived):
                        seen["body"] += event.data
                    elif isinstance(event, h2.events.StreamEnded):
                        seen["end"] = True
                await stream.send_all(machine.data_to_send())
        await stream.aclose()
    assert seen["headers"][b":status"] == b"200"
    assert seen["body"] == b"/h2:body"
