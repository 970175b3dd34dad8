from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConflictError, InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.registry.changes import (
    Change,
    Operation,
    apply_to,
    build_delta,
    check,
    reverse,
    same_entry,
    same_value,
    squash,
)


def entry(name: str, kind: str = "k", **data: Any) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


def state(*entries: Entry) -> dict[EntryId, Entry]:
    return {item.id: item for item in entries}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (False, 0, False),
        ("1", 1, False),
        ({"a": [1, {"b": None}]}, {"a": (1.0, {"b": None})}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
        (None, None, True),
    ],
)
def test_deep_equality(first: object, second: object, same: bool) -> None:
    assert same_value(first, second) is same


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (Change.create(entry("a")), ConflictError, "entry already exists: {ns: app, name: a}"),
        (Change.create(entry("b", "")), InvalidError, "entry kind is required: {ns: app, name: b}"),
        (Change.update(entry("b")), NotFoundError, "entry does not exist: {ns: app, name: b}"),
        (
            Change.update(entry("a", "j")),
            InvalidError,
            "cannot change entry kind from k to j for {ns: app, name: a}",
        ),
        (
            Change.delete(EntryId("app", "b")),
            NotFoundError,
            "cannot delete non-existent entry: {ns: app, name: b}",
        ),
    ],
)
def test_changes_that_do_not_fit(change: Change, error: type[LuaError], message: str) -> None:
    with pytest.raises(error) as caught:
        check(state(entry("a")), change)
    assert str(caught.value) == message


def test_the_delta_between_two_states() -> None:
    same, old, new = entry("same", x=1), entry("up", x=1), entry("up", x=2)
    gone, added, turned = entry("gone"), entry("added"), entry("turned", "one")
    delta = build_delta(state(same, old, gone, turned), state(entry("same", x=1.0), new, added, entry("turned", "two")))
    assert delta == (
        Change.create(added),
        Change.delete(gone.id, gone),
        Change.delete(turned.id, turned),
        Change.create(entry("turned", "two")),
        Change.update(new, old),
    )


def test_what_is_not_known_cannot_be_reversed() -> None:
    with pytest.raises(NotFoundError, match="original entry not found for"):
        reverse([Change.update(entry("a"))])


A1, A2, A3 = entry("a", x=1), entry("a", x=2), entry("a", x=3)


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ([Change.create(A1), Change.update(A2, A1)], [Change.create(A2)]),
        ([Change.create(A1), Change.delete(A1.id, A1)], []),
        ([Change.update(A2, A1), Change.update(A3, A2)], [Change.update(A3, A1)]),
        ([Change.update(A2, A1), Change.delete(A1.id, A2)], [Change(Operation.DELETE, A2, A1)]),
        ([Change.delete(A1.id, A1), Change.create(A2)], [Change.update(A2, A1)]),
        (
            [Change.delete(A1.id, A1), Change.create(entry("a", "j"))],
            [Change.delete(A1.id, A1), Change.create(entry("a", "j"))],
        ),
        (
            [Change.delete(A1.id, A1), Change.create(entry("a", "j")), Change.delete(A1.id, entry("a", "j"))],
            [Change.delete(A1.id, A1)],
        ),
    ],
)
def test_squashing(changes: list[Change], made: list[Change]) -> None:
    assert list(squash(changes)) == made


STATES = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.sampled_from("kj"), st.integers(0, 2)))


def made_of(raw: dict[str, tuple[str, int]]) -> dict[EntryId, Entry]:
    return state(*(entry(name, kind, x=number) for name, (kind, number) in raw.items()))


@given(st.lists(STATES, min_size=2, max_size=6))
def test_deltas_squash_and_reverse_between_any_states(raws: list[dict[str, tuple[str, int]]]) -> None:
    states = [made_of(raw) for raw in raws]
    steps = [build_delta(one, two) for one, two in pairwise(states)]
    every = [change for step in steps for change in step]
    ahead = dict(states[0])
    for change in squash(every):
        check(ahead, change)
        apply_to(ahead, [change])
    assert ahead == states[-1]
    back = dict(states[-1])
    for change in squash(reverse(every)):
        check(back, change)
        apply_to(back, [change])
    assert back == states[0]


def test_equal_entries() -> None:
    assert same_entry(A1, entry("a", x=1.0))
    assert not same_entry(A1, A2)
    assert not same_entry(A1, entry("a", "j", x=1))
