from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.errors import LuaError
from wippy_trio.loader.yaml import parse
from wippy_trio.text.luavalue import go_value
from wippy_trio.text.yamlcodec import encode_yaml, natural_key

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"))
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e6, 1e6) | TEXTS
VALUES = st.recursive(SCALARS, lambda part: st.lists(part) | st.dictionaries(TEXTS, part), max_leaves=8)


@settings(max_examples=30, deadline=None)
@given(VALUES, st.sampled_from([2, 4]))
def test_reads_back(value: object, indent: int) -> None:
    assert parse(encode_yaml(value, indent=indent), "test").value == value


@pytest.mark.parametrize(
    "text",
    ["", "~", "null", "yes", "No", "on", "true", "1", "1.5", ".5", "1e3", "0x1F", "0o7", "1_000", "1:20", "<<", "+1",
     "2024-01-01", "2024-01-01T00:00:00Z", "2024-1-2 3:04:05"],
)  # fmt: skip
def test_texts_that_look_like_something_else_are_quoted(text: str) -> None:
    assert encode_yaml(text) == f'"{text}"\n'.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, {"b": 2, "c": [3]}], "d": {}}, "a:\n    - 1\n    - b: 2\n      c:\n        - 3\nd: {}\n"),
        ("a\nb", "|-\n    a\n    b\n"),
        (["a: b", " x", "#", "a,b", "-"], "- 'a: b'\n- ' x'\n- '#'\n- a,b\n- '-'\n"),
        ([1.0, 1e21, float("inf"), None], "- 1\n- 1e+21\n- .inf\n- null\n"),
        ("\udcff", "!!binary '/w=='\n"),
    ],
)
def test_style(value: object, text: str) -> None:
    assert encode_yaml(value).decode() == text


def test_order_of_keys() -> None:
    names = ["a10", "a9", "_x", "B", "b", "10", "9", "a"]
    assert sorted(names, key=natural_key) == ["_x", "9", "10", "B", "a", "a9", "a10", "b"]
    value = {"c": 1, "b": {"z": 1, "b": 2}, "z": 3}
    assert encode_yaml(value, indent=2, field_order=["z"]) == b"z: 3\nb:\n  z: 1\n  b: 2\nc: 1\n"


def test_depth() -> None:
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(LuaError, match="nested deeper"):
        encode_yaml(deep)


def test_lua_tables() -> None:
    assert go_value({1: "a", 2: b"b", "x": 1}) == ["a", "b"]
    assert go_value({"a": {}, 3: 1, True: 2, 1.5: 3}) == {"a": {}, "3": 1, "true": 2, "1.5": 3}
    assert go_value(b"\xff") == "\udcff"
    assert go_value(LuaError("oops")) == "oops"
