"""The functions and methods of the expression language over times and durations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.text.expression.operators import COMPARE, as_int, equal, fail, text_argument
from wippy_trio.text.goduration import parse_duration
from wippy_trio.text.golayout import RFC3339, format_time
from wippy_trio.text.golayout_parse import parse_time
from wippy_trio.text.gonumbers import wrap_int64
from wippy_trio.text.gotime import UTC, Duration, Location, Time, load_location

__all__ = ["METHODS", "TIME_FUNCTIONS"]

_DATE_LAYOUTS = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    RFC3339,
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)
Value = Any


def _duration(text: Value) -> Duration:
    try:
        return Duration(parse_duration(text_argument("duration", text)))
    except InvalidError as error:
        return fail(str(error))


def _timezone(name: Value) -> Location:
    try:
        return load_location(text_argument("timezone", name))
    except NotFoundError as error:
        return fail(str(error))


def _date(*given: Value) -> Time:
    values = list(given)
    location = values.pop(0) if values and isinstance(values[0], Location) else UTC
    if not 1 <= len(values) <= 3:
        fail(f"invalid number of arguments (expected 1 to 3, got {len(values)})")
    text = text_argument("date", values[0])
    if len(values) == 3:
        location = _timezone(values[2])
    layouts = _DATE_LAYOUTS if len(values) == 1 else (text_argument("date", values[1]),)
    for layout in layouts:
        try:
            return parse_time(layout, text, location)
        except InvalidError as error:
            if len(values) > 1:
                return fail(str(error))
    return fail(f"invalid date {text}")


#: name -> (fewest arguments, most arguments, function).
TIME_FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Value]]] = {
    "duration": (1, 1, _duration),
    "date": (1, 4, _date),
    "timezone": (1, 1, _timezone),
}

_TIME_METHODS: Mapping[str, Callable[..., Value]] = {
    "Year": lambda at: at.civil().year,
    "Month": lambda at: at.civil().month,
    "Day": lambda at: at.civil().day,
    "Hour": lambda at: at.civil().hour,
    "Minute": lambda at: at.civil().minute,
    "Second": lambda at: at.civil().second,
    "Nanosecond": lambda at: at.civil().nanosecond,
    "Weekday": lambda at: at.civil().weekday,
    "YearDay": lambda at: at.civil().year_day,
    "Unix": lambda at: at.unix_ns // 1_000_000_000,
    "UnixMilli": lambda at: at.unix_ns // 1_000_000,
    "UnixNano": lambda at: wrap_int64(at.unix_ns),
    "UTC": lambda at: at.shown_in(UTC),
    "Format": lambda at, layout: format_time(at, text_argument("Format", layout)),
    "String": str,
    "IsZero": lambda at: at.is_zero(),
    "Before": COMPARE["<"],
    "After": COMPARE[">"],
    "Equal": equal,
    "AddDate": lambda at, years, months, days: at.add_date(as_int(years), as_int(months), as_int(days)),
    "In": lambda at, location: at.shown_in(location) if isinstance(location, Location) else fail("location expected"),
    "Add": lambda at, duration: at.add(duration) if isinstance(duration, Duration) else fail("duration expected"),
    "Sub": lambda at, other: at.sub(other) if isinstance(other, Time) else fail("time expected"),
}
_DURATION_METHODS: Mapping[str, Callable[..., Value]] = {
    "Hours": lambda span: span.ns / 3_600_000_000_000,
    "Minutes": lambda span: span.ns / 60_000_000_000,
    "Seconds": lambda span: span.ns / 1_000_000_000,
    "Milliseconds": lambda span: int(span.ns / 1_000_000),
    "Microseconds": lambda span: int(span.ns / 1_000),
    "Nanoseconds": lambda span: span.ns,
    "String": str,
}
#: Methods of time values, by type and name.
METHODS: Mapping[type, Mapping[str, Callable[..., Value]]] = {Time: _TIME_METHODS, Duration: _DURATION_METHODS}
