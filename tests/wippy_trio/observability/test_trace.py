from __future__ import annotations

import pytest

from determinism.system import SystemEntropy
from wippy_trio.observability.trace import TraceContext

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
