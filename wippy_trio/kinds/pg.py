"""Kind pg.scope: process groups. Source: docs system/process-groups.

This node stands alone, so the settings of traffic between nodes are checked and have nothing to act on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wippy_trio.actors.groups import GroupLimits, GroupScope
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.units import duration_s
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime

__all__ = ["KINDS"]

_BROADCAST_S = 5.0
#: Numbers that must not be negative: field -> what the reference calls it.
_COUNTS = {
    "action_queue_size": "action queue size",
    "monitor_buffer": "monitor buffer",
    "max_groups": "max groups",
    "max_members_per_group": "max members per group",
    "circuit_breaker_failures": "circuit breaker failures",
    "max_retries": "max retries",
}
_DURATIONS = (
    "protocol_timeout",
    "broadcast_timeout",
    "anti_entropy_interval",
    "circuit_breaker_reset_time",
    "retry_base_delay",
    "retry_max_delay",
)


def _count(entry: Entry, key: str) -> int:
    value = entry.data.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidError(f"{entry.id}: pg: {key} must be a whole number")
    return value


def limits_of(entry: Entry) -> GroupLimits:
    """The bounds that an entry sets.

    Raises:
        InvalidError: a negative number, or a malformed duration.
    """
    for key, what in _COUNTS.items():
        if _count(entry, key) < 0:
            raise InvalidError(f"pg: {what} must be non-negative")
    if (_count(entry, "action_queue_max_size") or 1024) < (_count(entry, "action_queue_size") or 256):
        raise InvalidError("pg: action queue max size must be >= action queue size")
    seconds: dict[str, float] = {}
    for key in _DURATIONS:
        try:
            seconds[key] = duration_s(entry.data.get(key) or 0)
        except LuaError as problem:
            raise InvalidError(f"{entry.id}: {key}: {problem}") from problem
    if seconds["anti_entropy_interval"] < 0:
        raise InvalidError("pg: anti entropy interval must be non-negative")
    return GroupLimits(
        _count(entry, "max_groups"),
        _count(entry, "max_members_per_group"),
        seconds["broadcast_timeout"] or _BROADCAST_S,
    )


def check_scope(entry: Entry) -> None:
    """Refuse settings that make no sense."""
    limits_of(entry)
    Lifecycle.parse(entry)


@asynccontextmanager
async def open_scope(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A scope of process groups."""
    scope = GroupScope(entry.id, runtime, limits_of(entry))
    try:
        with runtime.resources.offer(entry.id, scope):
            yield
    finally:
        scope.close()


KINDS = (Kind("pg.scope", open_scope, check=check_scope, service=True),)
