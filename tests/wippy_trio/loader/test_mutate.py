from __future__ import annotations

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.mutate import append_value, set_value

ENTRY = Entry(EntryId("app", "x"), "k", {"tags": ["a"]}, {"pool": {"size": 1, "type": "lazy"}, "flat": 1})


@pytest.mark.parametrize("path", ["pool.size", ".pool.size", "data.pool.size", ".data.pool.size"])
def test_a_path_names_a_field_of_data(path: str) -> None:
    assert set_value(ENTRY, path, 2).data == {"pool": {"size": 2, "type": "lazy"}, "flat": 1}
    assert ENTRY.data["pool"]["size"] == 1


def test_maps_are_made_on_the_way() -> None:
    assert set_value(ENTRY, "a.b.c", True).data["a"] == {"b": {"c": True}}
    assert set_value(ENTRY, "flat.deep", 1).data["flat"] == {"deep": 1}
    assert set_value(ENTRY, "meta.ui.title", "T").meta == {"tags": ["a"], "ui": {"title": "T"}}


def test_appending() -> None:
    assert append_value(ENTRY, "meta.tags", "b").meta["tags"] == ["a", "b"]
    assert append_value(ENTRY, "meta.tags", "a") is ENTRY
    assert append_value(ENTRY, "middleware", "cors").data["middleware"] == ["cors"]
    assert append_value(ENTRY, "new.list", "x").data["new"] == {"list": ["x"]}
    with pytest.raises(InvalidError, match="cannot append to non-array at path: flat"):
        append_value(ENTRY, "flat", "x")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "path cannot be empty"),
        (".", "path cannot be empty"),
        ("data", "cannot replace entire data field"),
        (".meta", "cannot replace entire meta field"),
    ],
)
def test_whole_fields_are_safe(path: str, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        set_value(ENTRY, path, 1)
    assert str(caught.value) == message
