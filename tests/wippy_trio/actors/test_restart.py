from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.actors.restart import Lifecycle, RestartPolicy
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId


def parse(block: Any) -> Lifecycle:
    data = {} if block is ... else {"lifecycle": block}
    return Lifecycle.parse(Entry(EntryId("app", "s"), "process.service", {}, data))


def test_delays_grow_to_their_limit_and_jitter_around_it() -> None:
    policy = RestartPolicy(1.0, 10.0, 2.0, 0.1)
    assert [policy.delay_s(attempt, 0.5) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert policy.delay_s(1_000_000, 0.5) == 10
    assert policy.delay_s(1, 0.0) == pytest.approx(0.9)
    assert policy.delay_s(1, 0.999_999) == pytest.approx(1.1, abs=1e-3)
    assert RestartPolicy(1.0, 10.0, 2.0, 5.0).delay_s(1, 0.0) == 0.0


def test_attempts() -> None:
    assert not RestartPolicy().exhausted(1_000_000)
    policy = RestartPolicy(max_attempts=3)
    assert [policy.exhausted(failures) for failures in (1, 2, 3, 4)] == [False, False, True, True]


def test_defaults() -> None:
    absent: list[Any] = [..., {}, None]
    for block in absent:
        made = parse(block)
        assert (made.auto_start, made.required, made.requires) == (False, True, ())
        assert (made.start_timeout_s, made.stop_timeout_s, made.stable_threshold_s) == (10, 10, 5)
        assert made.restart == RestartPolicy(1.0, 90.0, 2.0, 0.1, 0)
        assert made.security == {}


def test_all_fields() -> None:
    made = parse({
        "auto_start": True,
        "startup": "optional",
        "requires": ["db", "other:x"],
        "depends_on": ["db", "app:y"],
        "start_timeout": "1s",
        "stop_timeout": "2m",
        "stable_threshold": "500ms",
        "restart": {"initial_delay": "2s", "max_delay": "1m", "backoff_factor": 3, "jitter": 0.5, "max_attempts": 4},
        "security": {"actor": {"id": "a"}},
    })
    assert (made.auto_start, made.required) == (True, False)
    assert made.requires == tuple(EntryId.parse(text) for text in ("app:db", "other:x", "app:y"))
    assert (made.start_timeout_s, made.stop_timeout_s, made.stable_threshold_s) == (1, 120, 0.5)
    assert made.restart == RestartPolicy(2.0, 60.0, 3.0, 0.5, 4)
    assert made.security == {"actor": {"id": "a"}}


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ([1], "lifecycle must be a map"),
        ({"restart": 5}, "lifecycle.restart must be a map"),
        ({"requires": "db"}, "lifecycle.requires must be a list"),
        ({"start_timeout": "soon"}, "lifecycle start_timeout"),
        ({"restart": {"max_delay": []}}, "lifecycle max_delay"),
        ({"restart": {"jitter": "much"}}, "lifecycle.restart.jitter must be a number"),
        ({"restart": {"max_attempts": True}}, "lifecycle.restart.max_attempts must be a number"),
    ],
)
def test_what_is_refused(block: Any, text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        parse(block)
