"""Options of workflow starts and of activities, as Lua gives them. Source: docs temporal/{workflows,activities}.

The same option may be spelled `temporal.workflow.id` (documentation) or `workflow.id` (code of the original); so may
those of activities. Durations are texts (`"5s"`) or milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.units import parse_duration_ns

__all__ = ["ActivityOptions", "RetryPolicy", "WorkflowOptions", "parse_activity_options", "parse_workflow_options"]

T = TypeVar("T")
_MS = 1_000_000
_NOTHING: Mapping[str, Any] = MappingProxyType({})
CONFLICT = ("use_existing", "fail", "terminate_existing")
REUSE = ("allow_duplicate", "allow_duplicate_failed_only", "reject_duplicate", "terminate_if_running")
CLOSE = ("terminate", "abandon", "request_cancel")


def _sorted(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({key: value[key] for key in sorted(value)})


def _given(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@attrs.frozen(slots=True)
class RetryPolicy:
    """When a failed attempt is made again.

    Attributes:
        initial_ns: wait before the second attempt.
        backoff: factor of each further wait.
        maximum_ns: longest wait; 0 is a hundred times the first.
        attempts_count: attempts in all; 0 is no limit.
        non_retryable: error kinds that are final.
    """

    initial_ns: int = 1_000 * _MS
    backoff: float = 2.0
    maximum_ns: int = 0
    attempts_count: int = 0
    non_retryable: tuple[str, ...] = attrs.field(default=(), converter=_given)

    def delay_ns(self, failed_count: int, kind: str, *, retryable: bool | None) -> int | None:
        """How long to wait after attempt number `failed_count` failed; None when it was the last.

        Args:
            failed_count: attempts made so far, at least 1.
            kind: kind of the error; those of timeouts are `Timeout`.
            retryable: the error's own flag; only False speaks against another attempt.
        """
        if retryable is False or kind in self.non_retryable:
            return None
        if self.attempts_count and failed_count >= self.attempts_count:
            return None
        longest = self.maximum_ns or self.initial_ns * 100
        exponent = min(failed_count - 1, 1_000)
        try:
            grown = self.initial_ns * self.backoff**exponent
        except OverflowError:
            return longest
        return int(min(grown, longest))


@attrs.frozen(slots=True)
class ActivityOptions:
    """How an activity is run; times in nanoseconds, 0 = no limit.

    Attributes:
        start_to_close_ns: one attempt.
        schedule_to_close_ns: all attempts and the waits between them.
        schedule_to_start_ns: waiting for a free place.
        heartbeat_ns: between two signs of life.
        activity_id: its name in the history; empty: its number.
        task_queue: another worker's queue (Temporal).
        wait_for_cancellation: a cancelled call waits for the activity to end.
        disable_eager: (Temporal).
        retry: of failed attempts; None: the engine's default, without a limit.
        summary: text for people.
    """

    start_to_close_ns: int = 600_000 * _MS
    schedule_to_close_ns: int = 0
    schedule_to_start_ns: int = 0
    heartbeat_ns: int = 0
    activity_id: str = ""
    task_queue: str = ""
    wait_for_cancellation: bool = False
    disable_eager: bool = False
    retry: RetryPolicy | None = None
    summary: str = ""


@attrs.frozen(slots=True)
class WorkflowOptions:
    """How a workflow is started; times in nanoseconds, 0 = no limit.

    Attributes:
        workflow_id: explicit id; empty: one is made.
        conflict: `use_existing`, `fail`, `terminate_existing`, or empty for the default.
        reuse: `allow_duplicate`, `allow_duplicate_failed_only`, `reject_duplicate`, or empty for the default.
        error_when_started: whether a running workflow of this id is an error; None where not said.
        execution_timeout_ns, run_timeout_ns, task_timeout_ns: of all runs, of one, of one step.
        retry: of failed runs; None: none.
        cron: schedule in cron format.
        start_delay_ns: wait before the first step.
        parent_close: what becomes of a child when its parent closes: `terminate`, `abandon`, `request_cancel`.
        memo, search: facts attached to the workflow.
        extra: options that only a Temporal server knows, by their short name (`priority`, `versioning_override`, ...).
    """

    workflow_id: str = ""
    task_queue: str = ""
    namespace: str = ""
    conflict: str = ""
    reuse: str = ""
    error_when_started: bool | None = None
    execution_timeout_ns: int = 0
    run_timeout_ns: int = 0
    task_timeout_ns: int = 0
    retry: RetryPolicy | None = None
    cron: str = ""
    start_delay_ns: int = 0
    parent_close: str = ""
    wait_for_cancellation: bool = False
    eager: bool = False
    summary: str = ""
    details: str = ""
    memo: Mapping[str, Any] = attrs.field(factory=dict, converter=_sorted)
    search: Mapping[str, Any] = attrs.field(factory=dict, converter=_sorted)
    extra: Mapping[str, Any] = attrs.field(factory=dict, converter=_sorted)


# reading ---------------------------------------------------------------------------------------------------------
def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidError(f"{key} must be a string")
    return value


def _id(key: str, value: Any) -> str:
    if not _text(key, value):
        raise InvalidError(f"{key} cannot be empty")
    return str(value)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidError(f"{key} must be a boolean")
    return value


def _duration(key: str, value: Any) -> int:
    if isinstance(value, str):
        try:
            return max(parse_duration_ns(value), 0)
        except LuaError as problem:
            raise InvalidError(f'{key} must be a duration such as "5s": {problem}') from problem
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InvalidError(f"{key} must be a duration text or a number of milliseconds")
    return max(round(min(value, 1e12) * _MS), 0)


def _map(key: str, value: Any) -> Mapping[str, Any]:
    if value == []:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidError(f"{key} must be a table with string keys")
    return value


def _choice(allowed: tuple[str, ...], prefix: str) -> Callable[[str, Any], str]:
    def read(key: str, value: Any) -> str:
        text = _text(key, value).lower().replace("-", "_").removeprefix(prefix)
        if text not in allowed:
            raise InvalidError(f"{key} has invalid value {value!r}; known are {', '.join(allowed)}")
        return text

    return read


def _count(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value or value < 0:
        raise InvalidError(f"{key} must be a whole number, 0 or more")
    return int(value)


def _retry(key: str, value: Any) -> RetryPolicy:
    given = _map(key, value)

    def read(name: str, camel: str, parse: Callable[[str, Any], T], default: T) -> T:
        found = given.get(name, given.get(camel))
        return default if found is None else parse(f"{key}.{name}", found)

    base = RetryPolicy()
    return RetryPolicy(
        read("initial_interval", "initialInterval", _duration, 0) or base.initial_ns,
        read("backoff_coefficient", "backoffCoefficient", _factor, base.backoff),
        read("maximum_interval", "maximumInterval", _duration, base.maximum_ns),
        read("maximum_attempts", "maximumAttempts", _count, base.attempts_count),
        read("non_retryable_error_types", "nonRetryableErrorTypes", _texts, base.non_retryable),
    )


def _factor(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        raise InvalidError(f"{key} must be a number, 1 or more")
    return float(value)


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if value == {}:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidError(f"{key} must be a list of strings")
    return tuple(value)


_ACTIVITY: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "start_to_close_timeout": ("start_to_close_ns", _duration),
    "schedule_to_close_timeout": ("schedule_to_close_ns", _duration),
    "schedule_to_start_timeout": ("schedule_to_start_ns", _duration),
    "heartbeat_timeout": ("heartbeat_ns", _duration),
    "id": ("activity_id", _text),
    "task_queue": ("task_queue", _text),
    "wait_for_cancellation": ("wait_for_cancellation", _flag),
    "disable_eager_execution": ("disable_eager", _flag),
    "retry_policy": ("retry", _retry),
    "summary": ("summary", _text),
}
_WORKFLOW: Mapping[str, tuple[str, Callable[[str, Any], Any]]] = {
    "id": ("workflow_id", _id),
    "task_queue": ("task_queue", _text),
    "namespace": ("namespace", _text),
    "id_conflict_policy": ("conflict", _choice(CONFLICT, "workflow_id_conflict_policy_")),
    "id_reuse_policy": ("reuse", _choice(REUSE, "workflow_id_reuse_policy_")),
    "execution_error_when_already_started": ("error_when_started", _flag),
    "execution_timeout": ("execution_timeout_ns", _duration),
    "run_timeout": ("run_timeout_ns", _duration),
    "task_timeout": ("task_timeout_ns", _duration),
    "retry_policy": ("retry", _retry),
    "cron_schedule": ("cron", _text),
    "start_delay": ("start_delay_ns", _duration),
    "parent_close_policy": ("parent_close", _choice(CLOSE, "parent_close_policy_")),
    "wait_for_cancellation": ("wait_for_cancellation", _flag),
    "enable_eager_start": ("eager", _flag),
    "summary": ("summary", _text),
    "static_summary": ("summary", _text),
    "details": ("details", _text),
    "static_details": ("details", _text),
    "memo": ("memo", _map),
    "search_attributes": ("search", _map),
    "typed_search_attributes": ("search", _map),
}
_EXTRA = frozenset({"priority", "versioning_intent", "versioning_override"})


def _short(options: Mapping[str, Any], area: str) -> dict[str, Any]:
    """The options of an area by their short names; the documented spelling (`temporal.`) wins."""
    found: dict[str, Any] = {}
    for prefix in (f"{area}.", f"temporal.{area}."):
        for key, value in options.items():
            if str(key).startswith(prefix) and value is not None:
                found[key.removeprefix(prefix)] = value
    return found


def _fields(
    options: Mapping[str, Any], area: str, known: Mapping[str, tuple[str, Callable[[str, Any], Any]]]
) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in _short(options, area).items():
        if name in known:
            field, parse = known[name]
            fields[field] = parse(f"temporal.{area}.{name}", value)
        elif name in _EXTRA:
            fields.setdefault("extra", {})[name] = value
        else:
            raise InvalidError(f"unknown option temporal.{area}.{name}")
    return fields


_PLAIN_ACTIVITY = ActivityOptions()


def parse_activity_options(options: Mapping[str, Any] = _NOTHING) -> ActivityOptions:
    """Options of a call (`funcs.new():with_options(...)`); other options than those of activities are ignored.

    Raises:
        InvalidError: a malformed value, or an unknown option of activities.
    """
    if not options:
        return _PLAIN_ACTIVITY
    fields = _fields(options, "activity", _ACTIVITY)
    fields.pop("extra", None)
    return ActivityOptions(**fields)


def parse_workflow_options(options: Mapping[str, Any] = _NOTHING) -> WorkflowOptions:
    """Options of a start (`process.with_options(...)`); other options than those of workflows are ignored.

    Raises:
        InvalidError: a malformed value, or an unknown option of workflows.
    """
    return WorkflowOptions(**_fields(options, "workflow", _WORKFLOW))
