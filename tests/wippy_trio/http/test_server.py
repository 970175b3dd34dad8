import pytest
import trio

from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.server import HttpServer, ServerOptions, split_address

GET = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


@pytest.mark.parametrize(("text", "parts"), [(":80", ("", 80)), ("1.2.3.4:5", ("1.2.3.4", 5)), ("[::1]:9", ("::1", 9))])
def test_addresses(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize("text", ["", "80", "a:b", "a:70000", "[::1:9"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(InvalidError):
        split_address(text)


async def test_an_address_in_use(environment, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None: ...

    async with trio.open_nursery() as nursery:
        first = HttpServer("127.0.0.1:99", handler, environment, ServerOptions())
        await nursery.start(first.serve)
        second = HttpServer("127.0.0.1:99", handler, environment, ServerOptions())
        with pytest.raises(UnavailableError, match=r"cannot listen on 127\.0\.0\.1:99"):
            await second.serve()
        with pytest.raises(UnavailableError):
            _ = second.address
        await first.stop(1)


async def test_stop_lets_requests_end_and_closes_idle_ones(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        await trio.sleep(5)
        await exchange.response.write(b"done")

    async with serving(handler) as served:
        idle, busy = await served.connect(), await served.connect()
        await busy.send_all(GET)
        await trio.sleep(1)
        began = trio.current_time()
        assert await served.server.stop(30)
        assert 3 < trio.current_time() - began < 6
        answer = await served.listen(busy)
        assert answer.endswith(b"done")
        assert b"Connection: close" in answer
        assert await served.listen(idle) == b""


async def test_stop_cuts_after_its_time(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        await trio.sleep_forever()

    async with serving(handler) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        await trio.sleep(1)
        began = trio.current_time()
        assert not await served.server.stop(2)
        assert trio.current_time() - began < 3


async def test_connections_beyond_the_limit_wait(serving, autojump_clock) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.response.write(b"hello")

    async with serving(handler, ServerLimits(connection_count=2, idle_s=10)) as served:
        streams = [await served.connect() for _ in range(3)]
        for stream in streams:
            await stream.send_all(GET)
        assert (await served.listen(streams[0], 1)).endswith(b"hello")
        assert await served.listen(streams[2], 1) == b""
        await streams[0].aclose()
        assert (await served.listen(streams[2], 1)).endswith(b"hello")


async def test_the_handler_can_be_replaced(serving, autojump_clock) -> None:
    async def one(exchange: Exchange) -> None:
        await exchange.response.write(b"one")

    async def two(exchange: Exchange) -> None:
        await exchange.response.write(b"two")

    async with serving(one) as served:
        stream = await served.connect()
        await stream.send_all(GET)
        assert (await served.listen(stream, 1)).endswith(b"one")
        served.server.handler = two
        await stream.send_all(GET)
        assert (await served.listen(stream, 1)).endswith(b"two")
