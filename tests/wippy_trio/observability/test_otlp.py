"""What collectors are sent. The bytes were read by opentelemetry-proto 1's own classes when this was written."""

from __future__ import annotations

import json
from typing import Any

from wippy_trio.observability.otlp import encode_json, encode_protobuf
from wippy_trio.observability.trace import Span, SpanKind

SPANS = [
    Span(
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00f067aa0ba902b7",
        "00f067aa0ba902b8",
        "GET app:f",
        SpanKind.SERVER,
        1_700_000_000_123_456_789,
        0.25,
        "error",
        "bröken",
        {"text": "x", "empty": "", "yes": True, "no": False, "whole": -3, "big": 1 << 40, "part": 0.5},
        "vendor=1",
    ),
    Span("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b8", "", "root", SpanKind.INTERNAL, 1, 0.0),
]
RESOURCE = {"service.name": "shop"}


def fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a protobuf message, by number."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        value: Any
        if key & 7 == 0:
            value = varint()
        else:
            size = 8 if key & 7 == 1 else varint()
            value, at = data[at : at + size], at + size
        found.append((key >> 3, value))
    return found


def test_protobuf() -> None:
    [(one, resource_spans)] = fields(encode_protobuf(SPANS, RESOURCE))
    (resource_at, resource), (scope_spans_at, scope_spans) = fields(resource_spans)
    assert (one, resource_at, scope_spans_at) == (1, 1, 2)
    [(_, service)] = fields(resource)
    assert dict(fields(service)) == {1: b"service.name", 2: b"\x0a\x04shop"}
    (scope_at, scope), *spans = fields(scope_spans)
    assert (scope_at, dict(fields(scope))) == (1, {1: b"wippy-runtime"})
    first, second = (fields(data) for at, data in spans if at == 2)
    told = dict(first)
    assert (told[1].hex(), told[2].hex()) == (SPANS[0].trace_id, SPANS[0].span_id)
    assert (told[3], told[4].hex(), told[5], told[6]) == (b"vendor=1", SPANS[0].parent_id, b"GET app:f", 2)
    assert int.from_bytes(told[7], "little") == 1_700_000_000_123_456_789
    assert int.from_bytes(told[8], "little") == 1_700_000_000_373_456_789
    assert dict(fields(told[15])) == {2: "bröken".encode(), 3: 2}
    attributes = {fields(data)[0][1]: fields(fields(data)[1][1])[0] for at, data in first if at == 9}
    assert attributes[b"text"] == (1, b"x")
    assert attributes[b"empty"] == (1, b"")
    assert (attributes[b"yes"], attributes[b"no"]) == ((2, 1), (2, 0))
    assert attributes[b"whole"] == (3, (1 << 64) - 3)
    assert attributes[b"big"] == (3, 1 << 40)
    assert attributes[b"part"] == (4, b"\0\0\0\0\0\0\xe0?")
    assert [at for at, _ in second] == [1, 2, 5, 6, 7, 8, 15], "what is empty is left out"


def test_json() -> None:
    told = json.loads(encode_json(SPANS, RESOURCE))["resourceSpans"][0]
    assert told["resource"]["attributes"] == [{"key": "service.name", "value": {"stringValue": "shop"}}]
    first, second = told["scopeSpans"][0]["spans"]
    assert first["traceId"] == SPANS[0].trace_id
    assert (first["parentSpanId"], first["traceState"]) == (SPANS[0].parent_id, "vendor=1")
    assert (first["startTimeUnixNano"], first["endTimeUnixNano"]) == ("1700000000123456789", "1700000000373456789")
    assert first["status"] == {"code": 2, "message": "bröken"}
    assert {item["key"]: item["value"] for item in first["attributes"]} == {
        "text": {"stringValue": "x"},
        "empty": {"stringValue": ""},
        "yes": {"boolValue": True},
        "no": {"boolValue": False},
        "whole": {"intValue": "-3"},
        "big": {"intValue": str(1 << 40)},
        "part": {"doubleValue": 0.5},
    }
    assert "parentSpanId" not in second
    assert second["status"] == {"code": 0}
