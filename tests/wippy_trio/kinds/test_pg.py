from __future__ import annotations

from typing import Any

import pytest

from sandbox.errors import LuaError
from tests.conftest import entries_of
from wippy_trio.actors.groups import GroupLimits, GroupScope
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.pg import limits_of

SCOPE = """
- name: pg
  kind: pg.scope
  lifecycle: {auto_start: true}
"""
WRONG = {
    "max_groups: -1": "pg: max groups must be non-negative",
    "max_members_per_group: -1": "pg: max members per group must be non-negative",
    "monitor_buffer: -1": "pg: monitor buffer must be non-negative",
    "action_queue_size: -1": "pg: action queue size must be non-negative",
    "action_queue_size: 2000": "pg: action queue max size must be >= action queue size",
    "max_retries: -1": "pg: max retries must be non-negative",
    "circuit_breaker_failures: -1": "pg: circuit breaker failures must be non-negative",
    "anti_entropy_interval: -1s": "pg: anti entropy interval must be non-negative",
    "broadcast_timeout: soon": "broadcast_timeout: ",
    "max_groups: many": "max_groups must be a whole number",
}


@pytest.mark.parametrize("field", WRONG)
async def test_wrong_settings_are_refused(app: Any, field: str) -> None:
    with pytest.raises(LuaError) as refused:
        async with app(SCOPE + f"  {field}\n"):
            pass
    assert WRONG[field] in str(refused.value)


def test_settings() -> None:
    assert limits_of(entries_of(SCOPE)[0]) == GroupLimits(0, 0, 5.0)
    more = "  max_groups: 3\n  max_members_per_group: 4\n  broadcast_timeout: 2s\n  anti_entropy_interval: 30s\n"
    assert limits_of(entries_of(SCOPE + more)[0]) == GroupLimits(3, 4, 2.0)


async def test_it_is_a_service(app: Any) -> None:
    async with app(SCOPE) as running:
        scope = running.runtime.resources.get("app:pg", GroupScope)
        assert running.supervisor.get(EntryId("app", "pg")).state == "running"
        await running.supervisor.stop(EntryId("app", "pg"))
        with pytest.raises(LuaError, match="service stopped"):
            scope.groups()
