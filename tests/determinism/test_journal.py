"""Journals: bounds, canonical bytes, damage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from determinism.journal import Journal, JournalError, decode_journal, encode_journal, encode_value

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)
EVENTS = st.lists(st.tuples(st.sampled_from(["step", "call"]), st.lists(PLAIN, max_size=3).map(tuple)), max_size=6)


@given(EVENTS)
def test_what_is_written_is_read(events: list[tuple[str, tuple[object, ...]]]) -> None:
    data = encode_journal({"b": 1, "a": "ü\udcff"}, events, 3)
    read = decode_journal(data)
    assert (dict(read.header), read.events, read.dropped) == ({"b": 1, "a": "ü\udcff"}, tuple(events), 3)
    assert encode_journal({"a": "ü\udcff", "b": 1}, read.events, 3) == data


@given(PLAIN, PLAIN)
def test_different_values_have_different_bytes(one: object, other: object) -> None:
    assert (encode_value(one) == encode_value(other)) == (repr(one) == repr(other))


def test_numbers_of_all_sizes() -> None:
    values = (0, -1, 1, 127, -128, 2**63, -(2**63), 2**70, -0.0, math.inf, 1e-300)
    [event] = decode_journal(encode_journal({}, [("call", values)])).events
    assert repr(event) == repr(("call", values))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"x" + data,
        lambda data: data[:-1],
        lambda data: data[:-40] + b"\0" + data[-39:],
        lambda data: data[:30],
    ],
)
def test_damage_is_noticed(damage: object) -> None:
    data = encode_journal({"a": 1}, [("step", ())])
    assert callable(damage)
    with pytest.raises(JournalError):
        decode_journal(damage(data))


def test_what_it_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="dict"):
        encode_value({})


def test_it_holds_the_last_events_within_bounds() -> None:
    journal = Journal(3, 1_000)
    for number in range(5):
        journal.add("event", number)
    assert ([event[1] for event in journal.events], journal.dropped) == ([2, 3, 4], 2)
    journal.add("event", b"x" * 900)
    assert (len(journal.events), journal.dropped) == (3, 3)
    journal.add("call", (b"y" * 400,))
    assert [event[0] for event in journal.events] == ["call"]
    journal.add("event", b"z" * 5_000)
    assert len(journal.events) == 1


def test_draws_in_a_row_are_one_event() -> None:
    journal = Journal(10, 1_000)
    for value in (0.1, 0.2):
        journal.drew(value)
    journal.add("step", [])
    journal.drew(0.3)
    assert list(journal.events) == [("draw", [0.1, 0.2]), ("step", []), ("draw", [0.3])]
    for _ in range(64):
        journal.drew(0.5)
    assert [len(event[1]) for event in journal.events] == [2, 0, 64, 1]
