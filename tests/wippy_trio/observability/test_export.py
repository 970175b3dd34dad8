from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import trio

from wippy_trio.core.errors import UnavailableError
from wippy_trio.observability.export import Batcher, LogExporter
from wippy_trio.observability.metrics import Metrics
from wippy_trio.observability.trace import Span, SpanKind


def span(number: int) -> Span:
    return Span("a" * 32, "b" * 16, "", f"s{number}", SpanKind.INTERNAL, 1, 0.5, "ok", "", {"n": number})


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, message: str, /, **fields: object) -> None:
        self.lines.append(("debug", message, fields))

    def warn(self, message: str, /, **fields: object) -> None:
        self.lines.append(("warn", message, fields))


class Taker:
    def __init__(self) -> None:
        self.batches: list[tuple[float, list[str]]] = []
        self.fails = False
        self.hangs = False

    async def export(self, spans: Sequence[Span]) -> None:
        if self.hangs:
            await trio.sleep_forever()
        if self.fails:
            raise UnavailableError("no collector")
        self.batches.append((trio.current_time(), [item.name for item in spans]))


class Bench:
    def __init__(self) -> None:
        self.taker, self.log, self.metrics = Taker(), Log(), Metrics()
        self.batcher = Batcher(self.taker, self.log, self.metrics)

    def dropped(self, reason: str) -> float:
        return self.metrics.value("otel_spans_dropped_total", {"reason": reason})


async def test_batches_go_out_when_full_or_after_a_while(autojump_clock: Any) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.batcher.run)
        began = trio.current_time()
        bench.batcher.offer(span(0))
        await trio.sleep(1)
        bench.batcher.offer(span(1))
        await trio.sleep(5)
        assert bench.taker.batches == [(began + 2, ["s0", "s1"])]
        for number in range(300):
            bench.batcher.offer(span(number))
        await trio.sleep(0.5)
        assert [len(names) for _, names in bench.taker.batches[1:]] == [128, 128]
        await trio.sleep(2)
        assert len(bench.taker.batches[3][1]) == 300 - 256
        nursery.cancel_scope.cancel()


async def test_what_does_not_fit_is_dropped_and_counted(autojump_clock: Any) -> None:
    bench = Bench()
    for number in range(2_050):
        bench.batcher.offer(span(number))
    assert bench.dropped("queue") == 2
    await bench.batcher.flush()
    assert sum(len(names) for _, names in bench.taker.batches) == 2_048


async def test_a_failing_exporter_is_told_once(autojump_clock: Any) -> None:
    bench = Bench()
    bench.taker.fails = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.batcher.run)
        for number in range(3):
            bench.batcher.offer(span(number))
            await trio.sleep(3)
        assert [(level, fields["error"]) for level, _, fields in bench.log.lines] == [
            ("warn", "no collector"),
            ("debug", "no collector"),
            ("debug", "no collector"),
        ]
        assert bench.dropped("export") == 3
        bench.taker.fails, bench.taker.hangs = False, True
        bench.batcher.offer(span(9))
        await trio.sleep(20)
        assert bench.log.lines[-1][2] == {"error": "no answer within 10 s"}
        nursery.cancel_scope.cancel()


async def test_the_end_is_not_waited_for_without_end(autojump_clock: Any) -> None:
    bench = Bench()
    bench.taker.hangs = True
    for number in range(200):
        bench.batcher.offer(span(number))
    began = trio.current_time()
    await bench.batcher.flush()
    assert trio.current_time() - began == 2
    assert bench.dropped("export") == 200 - 128


async def test_spans_in_the_log() -> None:
    log = Log()
    await LogExporter(log).export([span(1)])
    level, message, fields = log.lines[0]
    assert (level, message, fields["name"], fields["kind"], fields["attributes"]) == (
        "debug",
        "span",
        "s1",
        "internal",
        {"n": 1},
    )
