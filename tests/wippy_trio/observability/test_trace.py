from __future__ import annotations

from typing import Any

import pytest

from determinism.system import SystemEntropy
from wippy_trio.core.frame import TRACE, Frame, carried
from wippy_trio.observability.trace import SpanKind, TraceContext, Tracer, trace_of, tracer_of
from wippy_trio.observability.trace_settings import TraceSettings

HEADER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_headers_round_trip() -> None:
    context = TraceContext.parse(HEADER)
    assert context == TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
    assert context.header() == HEADER
    unsampled = TraceContext.parse(HEADER[:-2] + "00")
    assert unsampled is not None
    assert not unsampled.sampled
    assert TraceContext.parse(f" 01{HEADER[2:]}-more ") == context, "a later version may add to it"


@pytest.mark.parametrize(
    "header",
    ["", "x", HEADER.upper(), HEADER + "-more", "ff" + HEADER[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01", HEADER[:-1]],
)
def test_malformed_headers_start_no_trace(header: str) -> None:
    assert TraceContext.parse(header) is None


def test_children_stay_in_the_trace() -> None:
    entropy = SystemEntropy()
    root = TraceContext.start(entropy, sampled=False)
    child = root.child(entropy)
    assert (child.trace_id, child.sampled) == (root.trace_id, False)
    assert child.span_id != root.span_id
    assert TraceContext.parse(root.header()) == root


def tracer_with(environment: Any, **more: Any) -> Tracer:
    return Tracer(environment, TraceSettings(enabled=True, **more), ring_count=3)


async def test_a_span_is_recorded_when_it_ends_below_its_parent(environment: Any) -> None:
    tracer = tracer_with(environment)
    with tracer.span("outer", SpanKind.SERVER) as outer:
        outer.set({"a": 1, "long": "x" * 500, "nothing": None, "list": [1]})
        with pytest.raises(ValueError), tracer.span("inner", parent=outer.context):
            raise ValueError("broken")
    inner, last = tracer.spans()
    assert (inner.name, inner.kind, inner.status, inner.message) == ("inner", "internal", "error", "broken")
    assert (inner.parent_id, inner.trace_id) == (last.span_id, last.trace_id)
    assert (last.parent_id, last.status, last.attributes) == ("", "ok", {"a": 1, "long": "x" * 256})
    for _ in range(5):
        tracer.begin("more").finish()
    assert len(tracer.spans()) == 3, "only the last ones are kept"


async def test_attributes_are_bounded(environment: Any) -> None:
    span = tracer_with(environment).begin("many", attributes={str(number): number for number in range(40)})
    span.set({"0": "again", "new": 1})
    span.finish()
    found = span._tracer.spans()[0].attributes
    assert len(found) == 16
    assert found["0"] == "again"


async def test_the_rate_decides_by_the_traces_id(environment: Any) -> None:
    tracer = tracer_with(environment, sample_rate=0.25)
    roots = [tracer.begin("root") for _ in range(400)]
    kept = [root for root in roots if root.context.sampled]
    assert 60 < len(kept) < 140
    for root in roots:
        assert tracer.begin("below", parent=root.context).context.sampled is root.context.sampled
        root.finish()
    assert {span.span_id for span in tracer.spans()} == {root.context.span_id for root in kept[-3:]}
    assert not tracer_with(environment, sample_rate=0.0).begin("none").context.sampled


async def test_headers_carry_a_context_on(environment: Any) -> None:
    tracer = tracer_with(environment)
    came = {"traceparent": HEADER, "tracestate": "vendor=1", "baggage": "user=7"}
    context = tracer.extract(came.get)
    assert context is not None
    assert tracer.headers(context) == came
    below = tracer.begin("below", parent=context)
    assert (below.context.trace_id, below.context.state, below.context.baggage) == (
        context.trace_id,
        "vendor=1",
        "user=7",
    )
    assert tracer.extract(lambda _name: None) is None
    assert tracer.extract(lambda _name: 7) is None


async def test_baggage_without_a_trace_travels_in_a_new_one(environment: Any) -> None:
    tracer = tracer_with(environment)
    context = tracer.extract({"baggage": "user=7", "traceparent": "nonsense"}.get)
    assert context is not None
    assert tracer.headers(context) == {"baggage": "user=7"}
    root = tracer.begin("root", parent=context)
    root.finish()
    assert tracer.spans()[0].parent_id == ""
    assert tracer.headers(root.context)["baggage"] == "user=7"


async def test_propagators_can_be_chosen(environment: Any) -> None:
    tracer = tracer_with(environment, propagators=frozenset({"baggage"}))
    assert tracer.headers(tracer.begin("root").context) == {}
    assert tracer.extract({"traceparent": HEADER}.get) is None


def test_a_frame_knows_its_place() -> None:
    context = TraceContext.parse(HEADER)
    frame = Frame(extras={TRACE: context, "other": 1})
    assert trace_of(frame) == context
    assert carried(frame) == {TRACE: context}
    assert trace_of(Frame()) is None
    assert carried(Frame(extras={"other": 1})) == {}
    assert tracer_of({}) is None
