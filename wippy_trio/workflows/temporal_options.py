"""Options of starts, children and activities as messages. Source: docs temporal/workflows, temporal/activities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload as WirePayload
from temporalio.api.common.v1 import Priority, RetryPolicy
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.workflow.v1 import VersioningOverride

from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.options import RetryPolicy as Retry
from wippy_trio.workflows.options import WorkflowOptions
from wippy_trio.workflows.temporal_convert import to_payload

__all__ = ["duration", "priority", "retry_policy", "search_attributes", "versioning_override"]


def duration(ns: int) -> Duration | None:
    """Nanoseconds as a message; None for 0, which means no limit."""
    return Duration(seconds=ns // 1_000_000_000, nanos=ns % 1_000_000_000) if ns else None


def retry_policy(retry: Retry | None) -> RetryPolicy | None:
    """A retry policy as a message."""
    if retry is None:
        return None
    return RetryPolicy(
        initial_interval=duration(retry.initial_ns),
        backoff_coefficient=retry.backoff,
        maximum_interval=duration(retry.maximum_ns),
        maximum_attempts=retry.attempts_count,
        non_retryable_error_types=retry.non_retryable,
    )


def search_attributes(values: Mapping[str, Any]) -> dict[str, WirePayload]:
    """Search attributes with their types: text Keyword, whole number Int, list of texts KeywordList; None removes.

    Raises:
        InvalidError: a value of another type.
    """
    return {name: _search_attribute(name, value) for name, value in values.items()}


def _search_attribute(name: str, value: Any) -> WirePayload:
    payload = to_payload(value)
    if value is None:
        return payload
    if isinstance(value, bool):
        type_ = b"Bool"
    elif isinstance(value, int | float):
        type_ = b"Int" if float(value).is_integer() else b"Double"
    elif isinstance(value, str):
        type_ = b"Keyword"
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        type_ = b"KeywordList"
    else:
        raise InvalidError(f'search attribute "{name}": unsupported value type {type(value).__name__}')
    payload.metadata["type"] = type_
    return payload


def priority(options: WorkflowOptions) -> Priority | None:
    """Option `priority`: {priority_key, fairness_key, fairness_weight}."""
    given = options.extra.get("priority")
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidError("temporal.workflow.priority must be a table")
    try:
        return Priority(
            priority_key=int(given.get("priority_key") or 0),
            fairness_key=str(given.get("fairness_key") or ""),
            fairness_weight=float(given.get("fairness_weight") or 0),
        )
    except (TypeError, ValueError) as problem:
        raise InvalidError(f"temporal.workflow.priority: {problem}") from problem


def versioning_override(options: WorkflowOptions) -> VersioningOverride | None:
    """Option `versioning_override`: "auto_upgrade", or {mode = "pinned", version = {deployment_name, build_id}}."""
    given = options.extra.get("versioning_override")
    if given is None:
        return None
    mode = given.get("mode") if isinstance(given, Mapping) else given
    if mode == "auto_upgrade":
        return VersioningOverride(auto_upgrade=True)
    version = given.get("version", given) if isinstance(given, Mapping) else {}
    if mode != "pinned" or not isinstance(version, Mapping):
        raise InvalidError('temporal.workflow.versioning_override: mode must be "pinned" or "auto_upgrade"')
    name, build = version.get("deployment_name"), version.get("build_id")
    if not name or not build:
        raise InvalidError("temporal.workflow.versioning_override: deployment_name and build_id are required")
    pinned = VersioningOverride.PinnedOverride(
        behavior=VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED,
        version=WorkerDeploymentVersion(deployment_name=str(name), build_id=str(build)),
    )
    return VersioningOverride(pinned=pinned)
