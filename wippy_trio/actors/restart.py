"""Restart policies as pure functions. Source: docs guides/supervision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s

__all__ = ["Lifecycle", "RestartPolicy"]


@attrs.frozen(slots=True)
class RestartPolicy:
    """When and how soon a failed service is started again. `max_attempts` 0 means for ever."""

    initial_delay_s: float = 1.0
    max_delay_s: float = 90.0
    backoff_factor: float = 2.0
    jitter: float = 0.1
    max_attempts: int = 0

    def delay_s(self, attempt: int, draw: float) -> float:
        """Wait before restart number `attempt` (1 = first); `draw` in [0, 1) gives the jitter."""
        exponent = min(attempt - 1, 64)
        delay = min(self.initial_delay_s * self.backoff_factor**exponent, self.max_delay_s)
        return max(delay * (1 + self.jitter * (2 * draw - 1)), 0.0)

    def exhausted(self, failures: int) -> bool:
        """Whether that many failures in a row are too many."""
        return self.max_attempts > 0 and failures >= self.max_attempts


@attrs.frozen(slots=True)
class Lifecycle:
    """The `lifecycle` block of an entry, decoded. Durations in seconds."""

    auto_start: bool = False
    required: bool = True
    requires: tuple[EntryId, ...] = ()
    start_timeout_s: float = 10.0
    stop_timeout_s: float = 10.0
    stable_threshold_s: float = 5.0
    restart: RestartPolicy = RestartPolicy()
    security: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def parse(cls, entry: Entry) -> Lifecycle:
        """Read the block; absent means defaults.

        Raises:
            InvalidError: a field of the wrong type, or an invalid duration.
        """
        block = entry.data.get("lifecycle") or {}
        if not isinstance(block, Mapping):
            raise InvalidError(f"{entry.id}: lifecycle must be a map")
        restart = block.get("restart") or {}
        if not isinstance(restart, Mapping):
            raise InvalidError(f"{entry.id}: lifecycle.restart must be a map")
        names = [*_list(entry, block, "requires"), *_list(entry, block, "depends_on")]
        ids = tuple(dict.fromkeys(EntryId.parse(str(name), entry.id.namespace) for name in names))
        security = block.get("security")
        policy = RestartPolicy(
            _duration(entry, restart, "initial_delay", 1.0),
            _duration(entry, restart, "max_delay", 90.0),
            _number(entry, restart, "backoff_factor", 2.0),
            _number(entry, restart, "jitter", 0.1) or 0.1,
            int(_number(entry, restart, "max_attempts", 0)),
        )
        return cls(
            block.get("auto_start") is True,
            block.get("startup", "required") != "optional",
            ids,
            _duration(entry, block, "start_timeout", 10.0),
            _duration(entry, block, "stop_timeout", 10.0),
            _duration(entry, block, "stable_threshold", 5.0),
            policy,
            security if isinstance(security, Mapping) else {},
        )


def _list(entry: Entry, block: Mapping[str, Any], key: str) -> list[Any]:
    value = block.get(key) or []
    if not isinstance(value, list):
        raise InvalidError(f"{entry.id}: lifecycle.{key} must be a list of entry ids")
    return value


def _duration(entry: Entry, block: Mapping[str, Any], key: str, default: float) -> float:
    value = block.get(key)
    if value is None:
        return default
    try:
        return duration_s(value)
    except (LuaError, ValueError, TypeError) as problem:
        raise InvalidError(f"{entry.id}: lifecycle {key}: {problem}") from problem


def _number(entry: Entry, block: Mapping[str, Any], key: str, default: float) -> float:
    value = block.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidError(f"{entry.id}: lifecycle.restart.{key} must be a number")
    return value
