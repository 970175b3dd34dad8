"""Spans as collectors read them: OTLP in its protobuf and its JSON form, written without a library.

Field numbers are those of opentelemetry-proto 1 (trace/v1, common/v1, resource/v1). Source: the OTLP specification.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wippy_trio.observability.trace import Span, SpanKind

__all__ = ["CONTENT_TYPES", "encode_json", "encode_protobuf"]

#: Protocol -> media type of a request.
CONTENT_TYPES = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}

_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_STATUS = {"unset": 0, "ok": 1, "error": 2}
_SCOPE = "wippy-runtime"
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_U64 = (1 << 64) - 1


def _end_ns(span: Span) -> int:
    return span.start_ns + int(span.duration_s * 1e9)


# JSON ------------------------------------------------------------------------------------------------------------
def encode_json(spans: Sequence[Span], resource: Mapping[str, str]) -> bytes:
    """An export request as JSON: ids in hexadecimal, 64-bit integers as texts."""
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": _pairs(resource)},
                "scopeSpans": [{"scope": {"name": _SCOPE}, "spans": [_json_span(span) for span in spans]}],
            }
        ]
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _json_span(span: Span) -> dict[str, Any]:
    told: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(_end_ns(span)),
        "attributes": _pairs(span.attributes),
        "status": {"code": _STATUS[span.status], **({"message": span.message} if span.message else {})},
    }
    if span.parent_id:
        told["parentSpanId"] = span.parent_id
    if span.state:
        told["traceState"] = span.state
    return told


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _json_value(value)} for name, value in attributes.items()]


def _json_value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


# protobuf --------------------------------------------------------------------------------------------------------
def encode_protobuf(spans: Sequence[Span], resource: Mapping[str, str]) -> bytes:
    """An export request in protobuf's wire format."""
    scope_spans = [_message(1, [_text(1, _SCOPE)]), *(_message(2, _span(span)) for span in spans)]
    resource_spans = [_message(1, _attributes(1, resource)), _message(2, scope_spans)]
    return _message(1, resource_spans)


def _span(span: Span) -> list[bytes]:
    fields = [
        _bytes(1, bytes.fromhex(span.trace_id)),
        _bytes(2, bytes.fromhex(span.span_id)),
        _text(3, span.state),
        _bytes(4, bytes.fromhex(span.parent_id)),
        _text(5, span.name),
        _integer(6, _KINDS[span.kind]),
        _key(7, _FIXED64) + struct.pack("<Q", span.start_ns & _U64),
        _key(8, _FIXED64) + struct.pack("<Q", _end_ns(span) & _U64),
        *_attributes(9, span.attributes),
    ]
    status = [_text(2, span.message), _integer(3, _STATUS[span.status])]
    return [*fields, _message(15, status)]


def _attributes(field: int, attributes: Mapping[str, Any]) -> list[bytes]:
    return [_message(field, [_text(1, name), _message(2, [_value(value)])]) for name, value in attributes.items()]


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return _key(2, _VARINT) + _varint(int(value))
    if isinstance(value, int):
        return _key(3, _VARINT) + _varint(value & _U64)
    if isinstance(value, float):
        return _key(4, _FIXED64) + struct.pack("<d", value)
    data = str(value).encode("utf-8", "replace")
    return _key(1, _BYTES) + _varint(len(data)) + data  # an empty text is a value, too


def _message(field: int, parts: Iterable[bytes]) -> bytes:
    data = b"".join(parts)
    return _key(field, _BYTES) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode("utf-8", "replace"))


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(data)) + data if data else b""


def _integer(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value) if value else b""


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
