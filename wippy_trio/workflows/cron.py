"""When a schedule is due: five fields in UTC, `@hourly` and the like, `@every 5m`. Source: docs temporal/workflows."""

from __future__ import annotations

import calendar

import attrs

from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.units import parse_duration_ns

__all__ = ["next_due_ns"]

_NS = 1_000_000_000
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {name.lower(): at for at, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: at for at, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_LONGEST_DAYS = 366 * 8 + 2  # 29 February is at most eight years away


@attrs.frozen(slots=True)
class _Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def on(self, month: int, day: int, weekday: int) -> bool:
        """Whether it is due on such a day: where both days are limited, either will do."""
        if month not in self.months:
            return False
        if self.any_day or self.any_weekday:
            return day in self.days and weekday in self.weekdays
        return day in self.days or weekday in self.weekdays


def _number(text: str, names: dict[str, int], whole: str) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not text.isdecimal():
        raise InvalidError(f"invalid cron schedule: {whole!r}")
    return int(text)


def _field(text: str, lowest: int, highest: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, {}, text) if slash else 1
        if span in {"*", "?"}:
            first, last = lowest, highest
        else:
            start, dash, end = span.partition("-")
            first = _number(start, names, text)
            last = _number(end, names, text) if dash else highest if slash else first
        if step < 1 or not lowest <= first <= last <= highest:
            raise InvalidError(f"invalid cron schedule: {text!r} is not within {lowest} to {highest}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _parse(text: str) -> _Schedule:
    parts = _NAMED.get(text, text).split()
    if len(parts) != 5:
        raise InvalidError(f"invalid cron schedule {text!r}: expected five fields")
    minutes, hours, days, months, weekdays = parts
    return _Schedule(
        _field(minutes, 0, 59, {}),
        _field(hours, 0, 23, {}),
        _field(days, 1, 31, {}),
        _field(months, 1, 12, _MONTHS),
        frozenset(day % 7 for day in _field(weekdays, 0, 7, _DAYS)),
        days in {"*", "?"},
        weekdays in {"*", "?"},
    )


def next_due_ns(schedule: str, after_ns: int, since_ns: int = 0) -> int:
    """The first time a schedule is due after a time (Unix nanoseconds).

    Args:
        schedule: the text.
        after_ns: the time.
        since_ns: what `@every` counts from.

    Raises:
        InvalidError: not a schedule, or one that is never due.
    """
    text = schedule.strip().removeprefix("CRON_TZ=UTC ").removeprefix("TZ=UTC ").strip()
    if text.startswith("@every "):
        try:
            every_ns = parse_duration_ns(text.removeprefix("@every ").strip())
        except LuaError as problem:
            raise InvalidError(f"invalid cron schedule {schedule!r}: {problem}") from problem
        if every_ns <= 0:
            raise InvalidError(f"invalid cron schedule {schedule!r}: the interval must be positive")
        return after_ns + every_ns - (after_ns - since_ns) % every_ns
    found = _parse(text)
    minute = after_ns // (60 * _NS) + 1
    for _ in range(_LONGEST_DAYS):
        day, of_day = divmod(minute, 1440)
        month, day_of_month = _civil(day)
        if found.on(month, day_of_month, (day + 4) % 7):
            for at in range(of_day, 1440):
                if at // 60 in found.hours and at % 60 in found.minutes:
                    return (day * 1440 + at) * 60 * _NS
        minute = (day + 1) * 1440
    raise InvalidError(f"invalid cron schedule {schedule!r}: it is never due")


def _civil(days: int) -> tuple[int, int]:
    """Month and day of a day counted from 1970-01-01 (proleptic Gregorian calendar)."""
    shifted = days + 719_468
    of_era = shifted % 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    return (month + 3 if month < 10 else month - 9), of_year - (153 * month + 2) // 5 + 1
