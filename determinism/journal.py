"""Journals: all that one actor was given, and what it asked for, in order and in canonical bytes.

Two recordings of the same life are the same bytes. A journal is bounded by events and bytes: beyond that the oldest
go, and it tells how many. What the events mean is told where they are made (wippy_trio/actors/recording.py).
A file is the magic line, the length of the header, the header (JSON), the events, and the SHA-256 of all that.
Source: ours (docs/guides/simulation.md, "Record in production").
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["MAGIC", "Journal", "JournalError", "Recorded", "decode_journal", "encode_journal", "encode_value"]

MAGIC = b"wippy-journal 1\n"
_DIGEST_BYTES = 32
_EVENT_BYTES = 32  # what an event holds beside its texts, about
_DRAWS = 64  # one event holds so many draws in a row
_DEPTH = 8
_DOUBLE = struct.Struct(">d")
_LENGTH = struct.Struct(">Q")

Event = tuple[Any, ...]


class JournalError(ValueError):
    """It is no journal, or a damaged one."""


class Journal:
    """The events of one actor, as they come: the last ones, within bounds.

    An event is a tuple: its kind, then plain values (None, bool, int, float, str, bytes, sequences of these).

    Args:
        max_events: events held, at least 1.
        max_bytes: bytes held in texts, about.
    """

    __slots__ = ("_draws", "_held_bytes", "_max_bytes", "_max_events", "dropped", "events")

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self.events: deque[Event] = deque()
        #: Events that had to go: the oldest.
        self.dropped = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._draws: list[float] | None = None

    def add(self, *event: Any) -> None:
        """Add an event: its kind, and its fields."""
        self._draws = None
        events = self.events
        events.append(event)
        self._held_bytes += _size(event)
        while len(events) > self._max_events or (self._held_bytes > self._max_bytes and len(events) > 1):
            self._held_bytes -= _size(events.popleft())
            self.dropped += 1

    def drew(self, value: float) -> None:
        """A random number was drawn; draws in a row are one event, `draw`."""
        if self._draws is None or len(self._draws) >= _DRAWS:
            draws: list[float] = []
            self.add("draw", draws)
            self._draws = draws
        self._draws.append(value)


def _size(event: Iterable[Any]) -> int:
    size = _EVENT_BYTES
    for field in event:
        if type(field) is bytes:
            size += len(field)
        elif type(field) is tuple:
            size += _size(field)
    return size


@dataclass(frozen=True, slots=True)
class Recorded:
    """A journal as it is read from a file.

    Attributes:
        header: what was told about the actor.
        events: in order.
        dropped: how many came before them and are lost.
    """

    header: Mapping[str, Any]
    events: Sequence[Event]
    dropped: int


# bytes -----------------------------------------------------------------------------------------------------------
def encode_value(value: Any) -> bytes:
    """A plain value (None, bool, int, float, str, bytes, a sequence of these) in canonical bytes.

    Raises:
        TypeError: it is none.
    """
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: Any, out: list[bytes]) -> None:
    kind = type(value)
    if kind is bytes:
        out += (b"b", _varint(len(value)), value)
    elif kind is int:
        out += (b"i", _varint(value << 1 if value >= 0 else (-value << 1) - 1))
    elif kind is float:
        out += (b"d", _DOUBLE.pack(value))
    elif kind is str:
        data = value.encode("utf-8", "surrogateescape")
        out += (b"s", _varint(len(data)), data)
    elif value is None or kind is bool:
        out.append(b"n" if value is None else b"t" if value else b"f")
    elif kind is tuple or kind is list:
        out += (b"l", _varint(len(value)))
        for item in value:
            _encode(item, out)
    else:
        raise TypeError(f"a journal cannot hold a {kind.__name__}")


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


class _Reader:
    """Reads values from bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self.at:
            raise JournalError("a journal that ends too early")
        self.at += count
        return self._data[self.at - count : self.at]

    def _number(self) -> int:
        number = shift = 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7

    def value(self, depth: int = 0) -> Any:
        """The next value."""
        kind = self._take(1)
        if kind == b"b":
            return self._take(self._number())
        if kind == b"s":
            return self._take(self._number()).decode("utf-8", "surrogateescape")
        if kind == b"i":
            number = self._number()
            return -((number + 1) >> 1) if number & 1 else number >> 1
        if kind == b"d":
            return _DOUBLE.unpack(self._take(8))[0]
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind == b"l" and depth < _DEPTH:
            return tuple(self.value(depth + 1) for _ in range(self._number()))
        raise JournalError("a damaged journal")


_CONSTANTS = {b"n": None, b"t": True, b"f": False}


def encode_journal(header: Mapping[str, Any], events: Sequence[Event], dropped: int = 0) -> bytes:
    """The bytes of a journal's file; `header` holds JSON values."""
    head = json.dumps({**header, "dropped": dropped}, sort_keys=True, separators=(",", ":")).encode()
    out = [MAGIC, _LENGTH.pack(len(head)), head]
    for event in events:
        _encode(event, out)
    body = b"".join(out)
    return body + hashlib.sha256(body).digest()


def decode_journal(data: bytes) -> Recorded:
    """Read what `encode_journal` made.

    Raises:
        JournalError: it is no journal, or not as it was written.
    """
    if not data.startswith(MAGIC):
        raise JournalError("not a journal of an actor")
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    at = len(MAGIC) + _LENGTH.size
    if len(body) < at or hashlib.sha256(body).digest() != digest:
        raise JournalError("a damaged journal: its checksum is wrong")
    (length,) = _LENGTH.unpack_from(body, len(MAGIC))
    try:
        header = json.loads(body[at : at + length])
        dropped = int(header.pop("dropped"))
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise JournalError(f"a damaged journal: {problem}") from problem
    reader, events = _Reader(body, at + length), []
    while reader.at < len(body):
        event = reader.value()
        if not isinstance(event, tuple) or not event or not isinstance(event[0], str):
            raise JournalError("a damaged journal")
        events.append(event)
    return Recorded(header, tuple(events), dropped)
