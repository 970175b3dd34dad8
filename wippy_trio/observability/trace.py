"""Spans of a distributed trace: where one belongs (W3C `traceparent`), how one is recorded, and the last ones kept.

A frame carries the context of the span it runs in among its `extras` (`core.frame.TRACE`).
Source: docs guides/observability.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

import attrs

from determinism.seams import Entropy, Environment
from wippy_trio.core.frame import TRACE, Frame
from wippy_trio.observability.trace_settings import TraceSettings

__all__ = [
    "OpenSpan",
    "Span",
    "SpanKind",
    "TraceContext",
    "Tracer",
    "trace_of",
    "tracer_of",
]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MAX_STATE_CHARACTERS: Final = 512
_MAX_BAGGAGE_CHARACTERS: Final = 8_192
_MAX_ATTRIBUTES: Final = 16
_MAX_ATTRIBUTE_CHARACTERS: Final = 256
_MAX_MESSAGE_CHARACTERS: Final = 1_024
_NO_ATTRIBUTES: Mapping[str, Any] = {}


@attrs.frozen(slots=True)
class TraceContext:
    """Where in a distributed trace something happens.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits; empty where only baggage came along.
        span_id: 16 of them.
        sampled: whether spans are kept.
        state: `tracestate` as it came.
        baggage: `baggage` as it came.
    """

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""
    baggage: str = ""

    @classmethod
    def start(cls, entropy: Entropy, *, sampled: bool = True) -> TraceContext:
        """The root of a new trace."""
        return cls(entropy.random_bytes(16).hex(), entropy.random_bytes(8).hex(), sampled)

    @classmethod
    def parse(cls, header: str) -> TraceContext | None:
        """Read a `traceparent` header; None for one that is malformed or all zero, as W3C asks."""
        found = _TRACEPARENT.fullmatch(header.strip())
        if found is None:
            return None
        version, trace_id, span_id, flags, rest = found.groups()
        if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & 1))

    def child(self, entropy: Entropy) -> TraceContext:
        """A span of the same trace below this one."""
        return attrs.evolve(self, span_id=entropy.random_bytes(8).hex())

    def header(self) -> str:
        """The `traceparent` text."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class SpanKind(StrEnum):
    """What part a span's maker has in the exchange it stands for."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@attrs.frozen(slots=True)
class Span:
    """Something that happened, from its start to its end.

    Attributes:
        trace_id, span_id, parent_id: hexadecimal; `parent_id` is empty for the root of a trace.
        start_ns: Unix time.
        status: `ok`, `error`, or `unset` where nobody said.
        message: of the error.
        attributes: at most 16 texts (cut at 256 characters), numbers and booleans by name.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: SpanKind
    start_ns: int
    duration_s: float
    status: str = "unset"
    message: str = ""
    attributes: Mapping[str, Any] = attrs.field(factory=dict)
    state: str = ""


class OpenSpan:
    """A span that has begun; `finish` ends and records it. What it gives to those below is `context`."""

    __slots__ = ("_attributes", "_begun_s", "_parent_id", "_start_ns", "_tracer", "context", "kind", "name")

    def __init__(self, tracer: Tracer, name: str, kind: SpanKind, context: TraceContext, parent_id: str) -> None:
        self.name = name
        self.kind = kind
        self.context = context
        self._tracer = tracer
        self._parent_id = parent_id
        self._start_ns, self._begun_s = tracer.now()
        self._attributes: dict[str, Any] = {}

    def set(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes; what is no text, number or boolean is left out, and so is what goes beyond 16."""
        mine = self._attributes
        for name, value in attributes.items():
            if isinstance(value, (str, int, float)) and (name in mine or len(mine) < _MAX_ATTRIBUTES):
                mine[name] = value[:_MAX_ATTRIBUTE_CHARACTERS] if isinstance(value, str) else value

    def finish(self, error: BaseException | None = None, *, status: str = "") -> None:
        """It is over; with the error it failed of. `status` is `ok` or `error` unless given."""
        if not self.context.sampled:
            return
        message = "" if error is None else _told(error)
        context = self.context
        self._tracer.record(
            Span(
                context.trace_id,
                context.span_id,
                self._parent_id,
                self.name,
                self.kind,
                self._start_ns,
                self._tracer.now()[1] - self._begun_s,
                status or ("ok" if error is None else "error"),
                message,
                self._attributes,
                context.state,
            )
        )


class Tracer:
    """Makes and keeps a node's spans.

    Args:
        environment: clock and entropy.
        settings: what is traced, and how much of it.
        ring_count: the last spans kept for whoever asks.
        on_end: told of every span that is recorded, at once; an exporter.
    """

    def __init__(
        self,
        environment: Environment,
        settings: TraceSettings,
        *,
        ring_count: int = 2_048,
        on_end: Callable[[Span], None] | None = None,
    ) -> None:
        self.settings = settings
        self.on_end = on_end
        self._clock = environment.clock
        self._entropy = environment.entropy.fork("trace")
        self._ring: deque[Span] = deque(maxlen=ring_count)

    def spans(self) -> list[Span]:
        """The last spans, in the order of their ends."""
        return list(self._ring)

    def now(self) -> tuple[int, float]:
        """Unix time in nanoseconds, and monotonic seconds."""
        return self._clock.wall_ns(), self._clock.monotonic_s()

    def record(self, span: Span) -> None:
        """A span has ended."""
        self._ring.append(span)
        if self.on_end is not None:
            self.on_end(span)

    def begin(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        attributes: Mapping[str, Any] = _NO_ATTRIBUTES,
    ) -> OpenSpan:
        """Begin a span below `parent`, or a new trace."""
        if parent is None or not parent.trace_id:
            root = TraceContext.start(self._entropy)
            baggage = "" if parent is None else parent.baggage
            context, parent_id = attrs.evolve(root, sampled=self._samples(root), baggage=baggage), ""
        else:
            context = attrs.evolve(parent.child(self._entropy), sampled=self._samples(parent))
            parent_id = parent.span_id
        span = OpenSpan(self, name, kind, context, parent_id)
        if attributes:
            span.set(attributes)
        return span

    def _samples(self, context: TraceContext) -> bool:
        """By the trace's id, so that all nodes with one rate decide alike (and as the reference does)."""
        rate = self.settings.sample_rate
        return rate >= 1 or (int(context.trace_id[16:], 16) >> 1) < int(rate * (1 << 63))

    @contextmanager
    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: TraceContext | None = None,
        attributes: Mapping[str, Any] = _NO_ATTRIBUTES,
    ) -> Iterator[OpenSpan]:
        """A span as long as the block; an exception is its error."""
        opened = self.begin(name, kind, parent, attributes)
        try:
            yield opened
        except BaseException as error:
            opened.finish(error)
            raise
        opened.finish()

    # propagation -----------------------------------------------------------------------------------------------
    def extract(self, get: Callable[[str], object]) -> TraceContext | None:
        """The context that came in headers; `get` gives the value of a lower-case name, or nothing."""
        wanted = self.settings.propagators
        context = TraceContext.parse(_text(get("traceparent"))) if "tracecontext" in wanted else None
        if context is not None and len(state := _text(get("tracestate"))) <= _MAX_STATE_CHARACTERS:
            context = attrs.evolve(context, state=state)
        baggage = _text(get("baggage")) if "baggage" in wanted else ""
        if not baggage or len(baggage) > _MAX_BAGGAGE_CHARACTERS:
            return context
        return attrs.evolve(context or TraceContext("", ""), baggage=baggage)

    def headers(self, context: TraceContext) -> dict[str, str]:
        """What carries a context on."""
        made: dict[str, str] = {}
        if "tracecontext" in self.settings.propagators and context.trace_id:
            made["traceparent"] = context.header()
            if context.state:
                made["tracestate"] = context.state
        if "baggage" in self.settings.propagators and context.baggage:
            made["baggage"] = context.baggage
        return made


def _told(error: BaseException) -> str:
    """The text of an error; what is no plain exception is trio's way of cancelling."""
    if not isinstance(error, Exception):
        return "canceled"
    return (str(error) or type(error).__name__)[:_MAX_MESSAGE_CHARACTERS]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def trace_of(frame: Frame) -> TraceContext | None:
    """The context of the span that a frame runs in."""
    found = frame.extras.get(TRACE)
    return found if isinstance(found, TraceContext) else None


def tracer_of(extras: Mapping[str, Any]) -> Tracer | None:
    """The node's tracer among the runtime's `extras`; None where tracing is off."""
    found = extras.get("tracer")
    return found if isinstance(found, Tracer) else None
