from __future__ import annotations

import pytest

from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.options import (
    ActivityOptions,
    RetryPolicy,
    WorkflowOptions,
    parse_activity_options,
    parse_workflow_options,
)

S = 1_000_000_000


def test_nothing_said():
    assert parse_activity_options({}) == ActivityOptions()
    assert parse_workflow_options({"other": 1, "retry.max_attempts": 3}) == WorkflowOptions()
    assert ActivityOptions().start_to_close_ns == 600 * S


@pytest.mark.parametrize("prefix", ["activity", "temporal.activity"])
def test_activity_options(prefix):
    found = parse_activity_options(
        {
            f"{prefix}.start_to_close_timeout": "30s",
            f"{prefix}.schedule_to_close_timeout": 1500,
            f"{prefix}.schedule_to_start_timeout": 0.5,
            f"{prefix}.heartbeat_timeout": "1m",
            f"{prefix}.id": "a",
            f"{prefix}.task_queue": "q",
            f"{prefix}.wait_for_cancellation": True,
            f"{prefix}.disable_eager_execution": True,
            f"{prefix}.summary": "text",
            f"{prefix}.retry_policy": {"maximum_attempts": 3, "initialInterval": 100},
        }
    )
    retry = RetryPolicy(S // 10, attempts_count=3)
    assert found == ActivityOptions(30 * S, 3 * S // 2, 500_000, 60 * S, "a", "q", True, True, retry, "text")


@pytest.mark.parametrize("prefix", ["workflow", "temporal.workflow"])
def test_workflow_options(prefix):
    found = parse_workflow_options(
        {
            f"{prefix}.id": "w",
            f"{prefix}.id_conflict_policy": "FAIL",
            f"{prefix}.id_reuse_policy": "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE",
            f"{prefix}.parent_close_policy": "request-cancel",
            f"{prefix}.execution_timeout": "24h",
            f"{prefix}.memo": {"b": 1, "a": 2},
            f"{prefix}.priority": {"key": 1},
        }
    )
    assert (found.workflow_id, found.conflict, found.reuse, found.parent_close) == (
        "w",
        "fail",
        "reject_duplicate",
        "request_cancel",
    )
    assert (found.execution_timeout_ns, list(found.memo), found.extra) == (
        86_400 * S,
        ["a", "b"],
        {"priority": {"key": 1}},
    )


def test_the_documented_spelling_wins():
    assert parse_workflow_options({"workflow.id": "a", "temporal.workflow.id": "b"}).workflow_id == "b"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", ""),
        ("id", 3),
        ("run_timeout", "soon"),
        ("run_timeout", True),
        ("run_timeout", float("nan")),
        ("run_timeout", {}),
        ("id_conflict_policy", "maybe"),
        ("id_reuse_policy", 1),
        ("enable_eager_start", "yes"),
        ("memo", [1]),
        ("search_attributes", {1: 2}),
        ("retry_policy", 3),
        ("retry_policy", {"maximum_attempts": 1.5}),
        ("retry_policy", {"maximum_attempts": -1}),
        ("retry_policy", {"backoff_coefficient": 0.5}),
        ("retry_policy", {"non_retryable_error_types": "Invalid"}),
        ("unheard", 1),
    ],
)
def test_malformed(key, value):
    with pytest.raises(InvalidError, match=f"temporal.workflow.{key}"):
        parse_workflow_options({f"temporal.workflow.{key}": value})


def test_waits_between_attempts():
    policy = RetryPolicy(S, 2.0, 5 * S, 0, ("Invalid",))
    assert [policy.delay_ns(n, "Unavailable", retryable=None) for n in (1, 2, 3, 4, 5_000)] == [
        S, 2 * S, 4 * S, 5 * S, 5 * S,
    ]  # fmt: skip
    assert policy.delay_ns(1, "Invalid", retryable=True) is None
    assert policy.delay_ns(1, "Unavailable", retryable=False) is None
    assert RetryPolicy(attempts_count=2).delay_ns(2, "", retryable=None) is None
    assert RetryPolicy(S).delay_ns(50, "", retryable=None) == 100 * S
