from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.errors import LuaError
from wippy_trio.workflows.cron import next_due_ns


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("schedule", "after", "due"),
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:16:30", "2026-01-01T00:30:00"),
        ("0 */6 * * *", "2026-01-01T18:00:00", "2026-01-02T00:00:00"),
        ("30 9 * * mon-fri", "2026-01-02T10:00:00", "2026-01-05T09:30:00"),
        ("0 0 1 jan,jul *", "2026-01-01T00:00:00", "2026-07-01T00:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("0 12 * * 7", "2026-01-01T00:00:00", "2026-01-04T12:00:00"),
        ("5-10/5 0 * * *", "2026-01-01T00:05:00", "2026-01-01T00:10:00"),
        ("@hourly", "2026-01-01T00:00:00", "2026-01-01T01:00:00"),
        ("@monthly", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("@every 90s", "2026-01-01T00:00:00", "2026-01-01T00:01:30"),
    ],
)
def test_next(schedule, after, due):
    assert next_due_ns(schedule, ns(after), ns("2026-01-01T00:00:00")) == ns(due)


@pytest.mark.parametrize(
    "schedule",
    ["", "* * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *", "0 0 31 2 *", "@every x", "@every 0s"],
)
def test_refused(schedule):
    with pytest.raises(LuaError, match="invalid cron schedule"):
        next_due_ns(schedule, 0)
