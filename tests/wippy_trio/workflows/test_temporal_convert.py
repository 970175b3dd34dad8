from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload as WirePayload
from temporalio.api.failure.v1 import Failure as WireFailure

from sandbox.errors import LuaError
from sandbox.values import Payload, pack_list, unpack
from wippy_trio.workflows.temporal_convert import (
    SOURCE,
    context_of,
    failure_of,
    pack_payloads,
    source_of,
    to_headers,
    to_payload,
    to_payloads,
    value_of,
    write_failure,
)
from wippy_trio.workflows.wire import Context, Failure

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, min_size=1) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, min_size=1)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_plain_values_come_back_as_they_were(value) -> None:
    assert value_of(to_payload(value)) == value


def test_what_the_ui_shows() -> None:
    shown = {
        b"binary/null": (None, b""),
        b"json/plain": ({"b": 1, "a": "x"}, b'{"a":"x","b":1}'),
        b"binary/plain": (b"\xff\x00", b"\xff\x00"),
    }
    for encoding, (value, data) in shown.items():
        payload = to_payload(value)
        assert (payload.metadata["encoding"], payload.data) == (encoding, data)


def test_payload_objects_keep_their_text() -> None:
    assert to_payload(Payload(None, "json/plain", b'{"z":1,  "a":2}')).data == b'{"z":1,  "a":2}'
    assert to_payload(Payload("x", "application/octet-stream")).metadata["encoding"] == b"binary/plain"
    assert value_of(to_payload(Payload({"a": 1}))) == {"a": 1}


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(LuaError, match="unsupported temporal payload encoding: json/protobuf"):
        value_of(WirePayload(metadata={"encoding": b"json/protobuf"}))


def test_lists_of_values() -> None:
    data = pack_list([1, "two", None])
    assert unpack(pack_payloads(to_payloads(data))) == [1, "two", None]


@pytest.mark.parametrize(
    "failure",
    [
        Failure("gone", "NotFound", retryable=False),
        Failure("busy", "Unavailable", retryable=True, details={"host": "a"}, stack="x.lua:3 in f\nx.lua:9"),
        Failure("inner", "Invalid", context=("outer", "middle")),
        Failure("no kind"),
    ],
)
def test_errors_keep_what_they_are(failure) -> None:
    wire = WireFailure()
    write_failure(failure, wire)
    assert failure_of(wire) == failure
    assert wire.application_failure_info.type == (failure.kind or "Internal")
    assert wire.application_failure_info.non_retryable == (failure.retryable is False)


def test_wrappers_become_details() -> None:
    wire = WireFailure(message="activity error")
    wire.activity_failure_info.activity_id = "7"
    write_failure(Failure("gone", "NotFound", retryable=False), wire.cause)
    found = failure_of(wire)
    assert (found.message, found.kind, found.retryable) == ("gone", "NotFound", False)
    assert found.details == {"_wrapper": "activity", "_activity_id": "7", "_retry_state": "Unspecified"}


def test_errors_of_the_server() -> None:
    wire = WireFailure(message="activity timed out")
    wire.timeout_failure_info.timeout_type = 4  # type: ignore[assignment]
    assert failure_of(wire) == Failure(
        "activity timed out", "Timeout", retryable=False, details={"timeout_type": "heartbeat"}
    )
    wire = WireFailure()
    wire.terminated_failure_info.SetInParent()
    assert failure_of(wire) == Failure("workflow terminated", "Canceled", retryable=False)
    wire = WireFailure(message="boom")
    wire.application_failure_info.type = "ValueError"
    assert failure_of(wire) == Failure("boom", "", retryable=True)


def test_contexts_travel_in_headers() -> None:
    headers: dict[str, WirePayload] = {}
    context = Context({"user": "u", "n": 1, "odd": b"\xff"}, {"id": "a", "meta": {"x": 1}}, ("app:p",))
    to_headers(context, headers, {SOURCE: "{n@h|1}"})
    found = context_of(headers)
    assert found == Context({"user": "u", "n": 1}, {"id": "a", "meta": {"x": 1}}, ("app:p",))
    assert source_of(headers) == "{n@h|1}"
    assert context_of({}) == Context()
    assert context_of({"wippy-context": WirePayload(data=b"broken")}) == Context()
