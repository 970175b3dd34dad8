import pytest

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.http.headers import Headers


async def test_short_answer_goes_out_in_one_piece_with_its_length(exchange_of) -> None:
    exchange, sink = exchange_of()
    await exchange.response.write(b"hello")
    assert sink.status == 0
    await exchange.response.finish()
    assert (sink.status, sink.body, sink.final, len(sink.pieces)) == (200, b"hello", True, 1)
    assert sink.headers.get("Content-Length") == "5"
    assert sink.headers.get("Content-Type") == "text/plain; charset=utf-8"


async def test_head_is_frozen_by_the_status(exchange_of) -> None:
    exchange, sink = exchange_of()
    response = exchange.response
    response.headers.set("X-A", "1")
    response.set_status(201)
    response.headers.set("X-B", "2")
    response.set_status(500)
    await response.finish()
    assert sink.status == 201
    assert sink.headers.get("X-A") == "1"
    assert "X-B" not in sink.headers


async def test_long_and_flushed_answers_are_streamed(exchange_of) -> None:
    exchange, sink = exchange_of()
    await exchange.response.write(b"a")
    await exchange.response.flush()
    assert sink.pieces == [b"a"]
    await exchange.response.write(b"b")
    assert sink.pieces == [b"a", b"b"]
    await exchange.response.finish()
    assert "Content-Length" not in sink.headers
    exchange, sink = exchange_of()
    await exchange.response.write(b"x" * 3000)
    assert len(sink.body) == 3000


async def test_write_now_takes_what_fits(exchange_of) -> None:
    exchange, sink = exchange_of()
    assert exchange.response.write_now(b"x" * 2000)
    assert not exchange.response.write_now(b"y" * 100)
    await exchange.response.write(b"y" * 100)
    assert not exchange.response.write_now(b"z")
    await exchange.response.finish()
    assert sink.body == b"x" * 2000 + b"y" * 100


async def test_head_request_has_headers_only(exchange_of) -> None:
    exchange, sink = exchange_of("HEAD")
    await exchange.response.write(b"hello")
    await exchange.response.finish()
    assert (sink.body, sink.headers.get("Content-Length")) == (b"", "5")


async def test_statuses_without_body(exchange_of) -> None:
    exchange, sink = exchange_of()
    exchange.response.set_status(204)
    with pytest.raises(InternalError):
        await exchange.response.write(b"x")
    await exchange.response.finish()
    assert sink.status == 204
    assert "Content-Length" not in sink.headers


async def test_bad_status_is_refused(exchange_of) -> None:
    exchange, _ = exchange_of()
    with pytest.raises(InvalidError):
        exchange.response.set_status(99)


async def test_reset_only_before_anything_is_sent(exchange_of) -> None:
    exchange, sink = exchange_of()
    await exchange.response.write(b"first")
    assert exchange.response.reset()
    exchange.response.set_status(500)
    await exchange.response.flush()
    assert not exchange.response.reset()
    assert (sink.status, sink.body) == (500, b"")


async def test_filters_see_the_body_last_added_first(exchange_of) -> None:
    class Suffix:
        wanted_bytes = 0

        def __init__(self, mark: bytes) -> None:
            self.mark = mark

        def begin(self, status: int, headers: Headers, data: bytes, *, final: bool) -> bool:
            headers.add("X-Marks", self.mark.decode())
            return True

        def feed(self, data: bytes, *, final: bool, flush: bool) -> bytes:
            return data + self.mark if final else data

    exchange, sink = exchange_of()
    response = exchange.response
    response.add_filter(Suffix(b"1"))
    response.add_filter(Suffix(b"2"))
    await response.write(b"x")
    await response.finish()
    assert sink.body == b"x21"
    assert sink.headers.get("Content-Length") == "3"
