from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId, Pid

NAMES = st.text("abcz09._-", min_size=1)


def test_an_entry_id_is_cut_at_its_first_colon() -> None:
    assert EntryId.parse("app.api:get:user") == EntryId("app.api", "get:user")
    assert str(EntryId("app", "x")) == "app:x"


def test_a_bare_name_belongs_to_the_namespace_at_hand() -> None:
    assert EntryId.parse("worker", "app") == EntryId("app", "worker")
    assert EntryId.parse(":json", "app") == EntryId("", "json")  # a builtin module, whatever the namespace


@pytest.mark.parametrize("text", ["", "app:"])
def test_an_entry_id_needs_a_name(text: str) -> None:
    with pytest.raises(InvalidError):
        EntryId.parse(text)


@given(NAMES, NAMES)
def test_entry_ids_read_back(namespace: str, name: str) -> None:
    assert EntryId.parse(str(EntryId(namespace, name))) == EntryId(namespace, name)


@given(st.sampled_from(["", "node1"]), NAMES, NAMES)
def test_pids_read_back(node: str, host: str, unique: str) -> None:
    assert Pid.parse(str(Pid(node, host, unique))) == Pid(node, host, unique)


@pytest.mark.parametrize("text", ["", "{}", "host|1", "{host}", "{host|1"])
def test_refuses_what_is_no_pid(text: str) -> None:
    with pytest.raises(InvalidError):
        Pid.parse(text)
