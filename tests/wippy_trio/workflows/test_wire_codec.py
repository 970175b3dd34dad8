from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import LuaError
from sandbox.values import Boxed, pack, pack_list
from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.options import ActivityOptions, RetryPolicy, WorkflowOptions
from wippy_trio.workflows.wire import (
    Complete,
    Context,
    Fail,
    Failure,
    ScheduleActivity,
    Started,
    StartTimer,
    decode,
    encode,
    from_json,
    to_json,
)
from wippy_trio.workflows.wire_codec import KINDS

_TEXT = st.text(max_size=8)
_INT = st.integers(0, 2**62)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, min_size=1, max_size=3),
    max_leaves=6,
)
_MAP = st.dictionaries(_TEXT, _JSON, max_size=3)
_VALUES = st.lists(_JSON | st.binary(max_size=5), max_size=3).map(pack_list)
_RETRY = st.builds(RetryPolicy, _INT, st.floats(1, 10), _INT, st.integers(0, 9), st.lists(_TEXT, max_size=2))
_FAILURE = st.builds(
    Failure, _TEXT, _TEXT, st.none() | st.booleans(), st.none() | _MAP, _TEXT, st.lists(_TEXT, max_size=2)
)
_CONTEXT = st.builds(
    Context, _MAP, st.none() | st.fixed_dictionaries({"id": _TEXT, "meta": _MAP}), st.none() | st.lists(_TEXT)
)
_ACTIVITY = st.builds(ActivityOptions, start_to_close_ns=_INT, activity_id=_TEXT, retry=st.none() | _RETRY)
_WORKFLOW = st.builds(
    WorkflowOptions, _TEXT, error_when_started=st.none() | st.booleans(), retry=st.none() | _RETRY, memo=_MAP
)
_BY_NAME = {
    "seed": st.binary(min_size=16, max_size=16),
    "failure": _FAILURE,
    "search": st.none() | _MAP,
    "memo": st.none() | _MAP,
    "version": st.integers(-1, 9),
    "attempt": st.integers(1, 9),
    "line": _TEXT,
}
_BY_TYPE = {
    "int": _INT,
    "bytes": _VALUES,
    "str": _TEXT,
    "bool": st.booleans(),
    "Context": _CONTEXT,
    "Context | None": st.none() | _CONTEXT,
    "ActivityOptions": _ACTIVITY,
    "WorkflowOptions": _WORKFLOW,
}


def _message(kind):
    owner = KINDS[kind]
    fields = {
        field.name: _BY_NAME[field.name] if field.name in _BY_NAME else _BY_TYPE[field.type]
        for field in attrs.fields(owner)
    }
    return st.builds(owner, **fields)


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
def test_every_record_survives_both_forms(kind, data):
    message = data.draw(_message(kind))
    encoded = encode(message)
    assert decode(encoded) == message
    assert encode(decode(encoded)) == encoded
    assert encode(from_json(json.loads(json.dumps(to_json(message))))) == encoded


def test_defaults_are_left_out():
    assert encode(Complete()) == pack(["complete", {}])
    assert to_json(StartTimer(3, 5)) == {"kind": "start_timer", "seq": 3, "delay_ns": 5}


def test_equal_maps_have_equal_bytes():
    one = Context({"b": 1, "a": 2})
    other = Context({"a": 2, "b": 1})
    assert encode(_started(one)) == encode(_started(other))


def _started(context):
    return Started("w", "r", "app:flow", "app:flow", "{local@app:worker|w}", "app:worker", b"0" * 16, context=context)


def test_json_is_readable_where_it_can_be():
    readable = to_json(ScheduleActivity(1, "app:pay", pack_list([{"amount": 5}])))
    assert readable["args"] == {"value": [{"amount": 5}]}
    exact = to_json(ScheduleActivity(1, "app:pay", pack_list([Boxed("time.Time", [1, 2, ""])])))
    assert set(exact["args"]) == {"msgpack", "text"}


def test_the_line_never_counts():
    assert StartTimer(1, 5, line="a:1") == StartTimer(1, 5, line="b:9")
    assert decode(encode(StartTimer(1, 5, line="a:1"))).line == "a:1"


def test_an_error_is_kept_whole():
    error = LuaError("no", kind="NotFound", retryable=False, details={"id": 3}, stack="at x", context=("outer",))
    again = decode(encode(Fail(Failure.of(error)))).failure.error()
    assert (str(again), again.kind, again.retryable, again.details, again.stack) == (
        "outer: no",
        "NotFound",
        False,
        {"id": 3},
        "at x",
    )


@pytest.mark.parametrize("bad", [["nothing", {}], ["complete", {"extra": 1}]])
def test_what_a_newer_version_wrote_is_refused(bad):
    with pytest.raises(InvalidError):
        decode(pack(bad))
