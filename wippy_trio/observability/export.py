"""Spans on their way out: gathered into batches, sent by an exporter, and dropped rather than kept without end.

Source: docs guides/observability; ours (the bounds).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import trio

from wippy_trio.core.errors import LuaError
from wippy_trio.observability.metrics import Metrics
from wippy_trio.observability.trace import Span

__all__ = ["Batcher", "LogExporter", "SpanExporter"]

_QUEUE_COUNT = 2_048
_BATCH_COUNT = 128
_DELAY_S = 2.0
_EXPORT_S = 10.0
DROPPED = "otel_spans_dropped_total"


class SpanExporter(Protocol):
    """Takes spans out of the node."""

    async def export(self, spans: Sequence[Span]) -> None:
        """Hand over a batch.

        Raises:
            LuaError: it was not taken.
        """


class Reports(Protocol):
    """Where an exporter reports (a `Log` is one)."""

    def debug(self, message: str, /, **fields: object) -> None: ...
    def warn(self, message: str, /, **fields: object) -> None: ...


class LogExporter:
    """Writes a debug record for each span.

    Args:
        log: where to.
    """

    def __init__(self, log: Reports) -> None:
        self._log = log

    async def export(self, spans: Sequence[Span]) -> None:
        """See `SpanExporter`."""
        await trio.lowlevel.checkpoint()
        for span in spans:
            self._log.debug(
                "span",
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                name=span.name,
                kind=str(span.kind),
                duration_s=span.duration_s,
                status=span.status,
                attributes=dict(span.attributes),
            )


class Batcher:
    """Gathers ended spans and hands them to an exporter, 128 at a time or after 2 s.

    At most 2,048 wait; what comes on top of that, and a batch the exporter refuses, is dropped and counted in
    `otel_spans_dropped_total` (label `reason`: queue, export).

    Args:
        exporter: takes them.
        log: told when the exporter begins to fail.
        metrics: counts what is dropped.
    """

    def __init__(self, exporter: SpanExporter, log: Reports, metrics: Metrics) -> None:
        self._exporter = exporter
        self._log = log
        self._metrics = metrics
        self._line: deque[Span] = deque()
        self._some = trio.Event()
        self._many = trio.Event()
        self._failing = False

    def offer(self, span: Span) -> None:
        """Take a span that has ended, or drop it."""
        if len(self._line) >= _QUEUE_COUNT:
            self._metrics.counter_add(DROPPED, 1.0, {"reason": "queue"})
            return
        self._line.append(span)
        self._some.set()
        if len(self._line) >= _BATCH_COUNT:
            self._many.set()

    async def run(self) -> None:
        """Export until cancelled."""
        while True:
            await self._some.wait()
            with trio.move_on_after(_DELAY_S):
                await self._many.wait()
            await self._export()

    async def flush(self, limit_s: float = 2.0) -> None:
        """Export what is left, for so long at most; the rest is dropped."""
        with trio.move_on_after(limit_s):
            while self._line:
                await self._export()
        self._drop(len(self._line), "export")
        self._line.clear()

    async def _export(self) -> None:
        batch = [self._line.popleft() for _ in range(min(_BATCH_COUNT, len(self._line)))]
        if not self._line:
            self._some = trio.Event()
        if len(self._line) < _BATCH_COUNT:
            self._many = trio.Event()
        problem: str | None = f"no answer within {_EXPORT_S:g} s"
        with trio.move_on_after(_EXPORT_S):
            try:
                await self._exporter.export(batch)
                problem = None
            except LuaError as error:
                problem = str(error)
        if problem is None:
            self._failing = False
            return
        self._drop(len(batch), "export")
        (self._log.debug if self._failing else self._log.warn)("spans were not exported", error=problem)
        self._failing = True

    def _drop(self, count: int, reason: str) -> None:
        if count:
            self._metrics.counter_add(DROPPED, count, {"reason": reason})
