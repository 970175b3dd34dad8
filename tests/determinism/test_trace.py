"""Traces: their hash, fingerprints of events, and the first that differs."""

from determinism import trace as trace_module
from determinism.trace import Trace, fingerprints, first_difference


def lived(*abouts: str) -> Trace:
    trace = Trace(keep=True)
    for at, about in enumerate(abouts):
        trace.record(at, "app:a|0x1", "call", about, about.encode())
    return trace


def test_the_same_events_have_the_same_hash() -> None:
    assert lived("a", "b").hexdigest() == lived("a", "b").hexdigest()
    assert lived("a", "b").hexdigest() != lived("b", "a").hexdigest()


def test_the_first_difference_is_found() -> None:
    recorded = fingerprints(lived("a", "b", "c").log)
    assert first_difference(recorded, lived("a", "b", "c").log) is None
    assert first_difference(recorded, lived("a", "x", "c").log) == 1
    assert first_difference(recorded, lived("a", "b").log) == 2
    assert first_difference(recorded, lived("a", "b", "c", "d").log) == 3
    assert first_difference(b"", []) is None


def test_data_is_part_of_an_event() -> None:
    trace = lived("a")
    other = Trace(keep=True)
    other.record(0, "app:a|0x1", "call", "a", b"b")
    assert first_difference(fingerprints(trace.log), other.log) == 0


def test_records_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(trace_module, "FINGERPRINT_COUNT", 2)
    recorded = fingerprints(lived("a", "b", "c").log)
    assert len(recorded) == 4
    assert first_difference(recorded, lived("a", "b", "x", "y").log) is None
