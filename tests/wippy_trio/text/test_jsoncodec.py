from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wippy_trio.text.gonumbers import decimal_text, float_text, wrap_int64
from wippy_trio.text.jsoncodec import MAX_DEPTH, JsonError, decode, encode, encode_indented

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(SCALARS | TEXTS, lambda part: st.lists(part) | st.dictionaries(TEXTS, part), max_leaves=10)


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_round_trip(value: object) -> None:
    text = encode(value)
    assert decode(text) == value
    assert json.loads(text) == value


@given(FLOATS)
def test_float_texts_read_back(number: float) -> None:
    assert float(decimal_text(number)) == number
    assert "e" not in decimal_text(number)
    assert float(float_text(number)) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (1e300, str(int(1e300))),
        (1e-7, "0.0000001"),
        (float("nan"), "null"),
        (b"\xff", '"\ufffd"'),
        ("a\udcffb", '"a\ufffdb"'),
        ("</script>\u2028", '"\\u003c/script\\u003e\\u2028"'),
        ({2: "b", 1: "a"}, '["a","b"]'),
        ({1.0: "a"}, '["a"]'),
        ({0: "a"}, '{"0":"a"}'),
        ({"b": 1, "a": [{}]}, '{"a":[{}],"b":1}'),
        (ValueError("oops"), '"oops"'),
        (object(), "null"),
        (2**70, str(2**70)),
    ],
)
def test_encode(value: object, text: str) -> None:
    assert encode(value).decode() == text


def test_empty_table() -> None:
    assert encode({"a": {}, "b": []}, empty_is_array=True) == b'{"a":[],"b":[]}'


def test_indented() -> None:
    assert encode_indented({"b": [1, 2.0], "a": {}}) == '{\n  "a": {},\n  "b": [\n    1,\n    2\n  ]\n}'


@pytest.mark.parametrize("value", [{1: 1, "a": 2}, {1: 1, 3: 3}, {2: 1}])
def test_tables_json_cannot_hold(value: object) -> None:
    with pytest.raises(JsonError, match="cannot encode"):
        encode(value)


def test_depth() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    assert decode(encode(deep)) == deep
    with pytest.raises(JsonError, match="nesting depth"):
        encode([deep])
    with pytest.raises(JsonError, match="nesting depth"):
        decode("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))


@pytest.mark.parametrize("text", ["", "nul", "[1,]", '{"a"}', "1 2", b'"\xff"', "NaN", '"\\ud800"'])
def test_bad_texts(text: str | bytes) -> None:
    with pytest.raises(JsonError, match="invalid JSON"):
        decode(text)


def test_numbers() -> None:
    assert decode("[1, 1.0, 9223372036854775807, 9223372036854775808, 1e2]") == [1, 1.0, 2**63 - 1, 2.0**63, 100.0]
    assert [type(item) for item in decode("[1, 9223372036854775808, 1e2]")] == [int, float, float]
    assert type(decode("1", floats_only=True)) is float
    assert wrap_int64(2**63) == -(2**63)
