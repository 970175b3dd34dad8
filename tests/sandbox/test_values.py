"""The Python half of the border; the round trips are in test_codec.py."""

from __future__ import annotations

import pytest

from sandbox.values import Boxed, Multi, Packed, Payload, as_bytes, as_text, error_fields, pack, pack_list, unpack
from wippy_trio.core.errors import LuaError


def test_strings_arrive_as_text_or_bytes_and_either_is_readable() -> None:
    assert (as_text("a"), as_text(b"a"), as_text(b"\xff"), as_text(None), as_text(5)) == ("a", "a", "\ufffd", "", "5")
    assert (as_bytes("é"), as_bytes(b"\xff"), as_bytes(5)) == ("é".encode(), b"\xff", b"5")


def test_several_values_are_one_list() -> None:
    assert unpack(pack_list([1, None, "x"])) == [1, None, "x"]
    assert unpack(Packed(pack_list([1])).data) == [1]
    assert Multi(1, 2).values == (1, 2)


def test_what_lua_cannot_hold_is_an_error_of_the_caller() -> None:
    with pytest.raises(LuaError, match="value cannot be passed to Lua") as caught:
        pack({"n": 1 << 70})
    assert (caught.value.kind, caught.value.retryable) == ("Invalid", False)


def test_error_fields_leave_out_what_is_not_there() -> None:
    assert error_fields(LuaError("m")) == {
        "message": "m",
        "kind": "",
        "retryable": None,
        "details": None,
        "stack": None,
        "context": None,
    }


def test_boxes_are_compared_by_value_and_not_hashed() -> None:
    assert Boxed("T", [1]) == Boxed("T", [1])
    assert Boxed("T", 1) != Boxed("U", 1)
    with pytest.raises(TypeError):
        hash(Boxed("T", 1))


def test_a_payload_without_a_raw_text() -> None:
    assert unpack(pack(Payload(1))).raw is None
