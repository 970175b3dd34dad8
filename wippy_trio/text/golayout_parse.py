"""Parsing of texts by a time layout.

Source: docs page lua/core/time, "From String"; the rules are those of Go's time package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wippy_trio.core.errors import InvalidError
from wippy_trio.text.goduration import quote
from wippy_trio.text.golayout import DAYS, MONTHS, chunks
from wippy_trio.text.gotime import UTC, Location, Time, date, days_in_month, fixed_zone

__all__ = ["parse_time"]


class _BadElement(Exception):
    """The value does not fit the element; with a text, it fits but is out of range."""


@dataclass(slots=True)
class _Parsed:
    year: int = 0
    month: int = -1
    day: int = -1
    year_day: int = -1
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    half: str = ""
    is_utc: bool = False
    offset_s: int | None = None
    zone_name: str = ""
    rest: str = field(default="", repr=False)

    def take(self, count: int) -> str:
        if len(self.rest) < count:
            raise _BadElement
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken


def parse_time(layout: str, value: str, default: Location, local: Location | None = None) -> Time:
    """The instant that `value` names in `layout`.

    Args:
        layout: the form of `value`.
        value: the text; missing parts are zero or one (`15:04` is on 0000-01-01).
        default: location of a text that names no zone.
        local: location whose own name or offset, if the text has it, becomes the location; `default` if not given.

    Raises:
        InvalidError: the text does not fit, or a part is out of range.
    """
    local = default if local is None else local
    got = _Parsed(rest=value)
    parts = chunks(layout)
    for index, (literal, element) in enumerate(parts):
        _skip(got, literal, layout, value)
        if not element:
            if got.rest:
                raise _problem(layout, value, f": extra text: {quote(got.rest)}")
            break
        held = got.rest
        try:
            _read(got, element, parts[index + 1][1])
        except _BadElement as error:
            if error.args:
                raise _problem(layout, value, f": {error.args[0]} out of range") from None
            raise _mismatch(layout, value, element, held) from None
    day = _day_of(got, layout, value)
    hour = got.hour + 12 if got.half == "P" and got.hour < 12 else 0 if got.half == "A" and got.hour == 12 else got.hour
    clock = (hour, got.minute, got.second, got.nanosecond)
    if got.is_utc:
        return date(day, clock, UTC)
    if got.offset_s is None and not got.zone_name:
        return date(day, clock, default)
    return _located(got, date(day, clock, UTC), local)


def _located(got: _Parsed, shown: Time, local: Location) -> Time:
    """The instant whose clock in its own zone shows `shown`."""
    if got.offset_s is not None:
        at = Time(shown.unix_ns - got.offset_s * 1_000_000_000)
        zone = local.zone_at(at.unix_ns // 1_000_000_000)
        if zone.offset_s == got.offset_s and got.zone_name in ("", zone.name):
            return at.shown_in(local)
        return at.shown_in(fixed_zone(got.zone_name, got.offset_s))
    offset = local.offset_named(got.zone_name, shown.unix_ns // 1_000_000_000)
    if offset is not None:
        return Time(shown.unix_ns - offset * 1_000_000_000, local)
    # An unknown abbreviation: kept as a name, with offset 0 unless it is of the form GMT+3. The clock is taken as
    # UTC all the same; the reference does so too.
    hours = int(got.zone_name[3:]) if got.zone_name.startswith("GMT") and len(got.zone_name) > 3 else 0
    return shown.shown_in(fixed_zone(got.zone_name, hours * 3600))


def _skip(got: _Parsed, literal: str, layout: str, value: str) -> None:
    while literal:
        if literal[0] == " ":
            if got.rest and got.rest[0] != " ":
                raise _mismatch(layout, value, literal, got.rest)
            literal, got.rest = literal.lstrip(" "), got.rest.lstrip(" ")
            continue
        if not got.rest or got.rest[0] != literal[0]:
            raise _mismatch(layout, value, literal, got.rest)
        literal, got.rest = literal[1:], got.rest[1:]


def _mismatch(layout: str, value: str, element: str, rest: str) -> InvalidError:
    return InvalidError(
        f"parsing time {quote(value)} as {quote(layout)}: cannot parse {quote(rest)} as {quote(element)}"
    )


def _problem(layout: str, value: str, message: str) -> InvalidError:
    del layout
    return InvalidError(f"parsing time {quote(value)}{message}")


def _read(got: _Parsed, element: str, following: str) -> None:
    number = _NUMBERS.get(element)
    if number is not None:
        name, fixed, low, high = number
        if element == "_2":
            got.rest = got.rest[1:] if got.rest[:1] == " " else got.rest
        found = _two_digits(got, fixed=fixed)
        if not low <= found <= high:
            raise _BadElement(name)
        setattr(got, name, found)
        if name == "second":
            _implied_fraction(got, following)
    elif element == "2006":
        if not got.rest[:1].isdigit():
            raise _BadElement
        got.year = _digits(got.take(4))
    elif element == "06":
        short = _digits(got.take(2))
        got.year = short + (1900 if short >= 69 else 2000)
    elif element in ("January", "Jan"):
        got.month = _named(got, MONTHS, short=element == "Jan") + 1
    elif element in ("Monday", "Mon"):
        _named(got, DAYS, short=element == "Mon")
    elif element in ("__2", "002"):
        got.year_day = _three_digits(got, padded=element == "__2")
    elif element in ("PM", "pm"):
        text = got.take(2)
        if text not in ((element, "AM") if element == "PM" else (element, "am")):
            raise _BadElement
        got.half = text[0].upper()
    elif element == "MST":
        _zone_name(got)
    elif element[0] in "-Z":
        _offset(got, element)
    elif element[1] == "0":
        got.nanosecond = _nanoseconds(got.take(len(element)))
    elif len(got.rest) >= 2 and got.rest[0] in ".," and _is_digit(got.rest[1]):
        _take_fraction(got)


_NUMBERS = {
    "1": ("month", False, 1, 12),
    "01": ("month", True, 1, 12),
    "2": ("day", False, 0, 99),
    "_2": ("day", False, 0, 99),
    "02": ("day", True, 0, 99),
    "15": ("hour", False, 0, 23),
    "3": ("hour", False, 0, 12),
    "03": ("hour", True, 0, 12),
    "4": ("minute", False, 0, 59),
    "04": ("minute", True, 0, 59),
    "5": ("second", False, 0, 59),
    "05": ("second", True, 0, 59),
}


def _is_digit(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _digits(text: str) -> int:
    if not _is_digit(text):
        raise _BadElement
    return int(text)


def _two_digits(got: _Parsed, *, fixed: bool) -> int:
    if not _is_digit(got.rest[:1]):
        raise _BadElement
    if _is_digit(got.rest[1:2]):
        return int(got.take(2))
    if fixed:
        raise _BadElement
    return int(got.take(1))


def _three_digits(got: _Parsed, *, padded: bool) -> int:
    spaces = 0
    while padded and spaces < 2 and got.rest[:1] == " ":
        got.take(1)
        spaces += 1
    count = 0
    while count < 3 and _is_digit(got.rest[count : count + 1]):
        count += 1
    if count == 0 or (not padded and count != 3):
        raise _BadElement
    return int(got.take(count))


def _named(got: _Parsed, names: tuple[str, ...], *, short: bool) -> int:
    for index, full in enumerate(names):
        name = full[:3] if short else full
        if got.rest[: len(name)].lower() == name.lower():
            got.take(len(name))
            return index
    raise _BadElement


def _implied_fraction(got: _Parsed, following: str) -> None:
    """A fraction after the seconds is accepted even where the layout has none."""
    if len(got.rest) >= 2 and got.rest[0] in ".," and _is_digit(got.rest[1]) and following[:1] not in (".", ","):
        _take_fraction(got)


def _take_fraction(got: _Parsed) -> None:
    count = 1
    while _is_digit(got.rest[count : count + 1]):
        count += 1
    got.nanosecond = _nanoseconds(got.take(count))


def _nanoseconds(text: str) -> int:
    if text[0] not in ".,":
        raise _BadElement
    return int(f"{_digits(text[1:10])}{'0' * (9 - len(text[1:10]))}")


def _offset(got: _Parsed, element: str) -> None:
    if element[0] == "Z" and got.rest[:1] == "Z":
        got.take(1)
        got.is_utc = True
        return
    text = got.take(len(element))
    parts = [text[1:3]]
    if ":" in element:
        if any(text[at] != ":" for at in range(3, len(text), 3)):
            raise _BadElement
        parts += [text[at : at + 2] for at in range(4, len(text), 3)]
    else:
        parts += [text[at : at + 2] for at in range(3, len(text), 2)]
    numbers = [_digits(part) for part in parts]
    for number, limit, name in zip(numbers, (24, 60, 60), ("hour", "minute", "second"), strict=False):
        if number > limit:
            raise _BadElement(f"time zone offset {name}")
    if text[0] not in "+-":
        raise _BadElement
    total = sum(number * unit for number, unit in zip(numbers, (3600, 60, 1), strict=False))
    got.offset_s = -total if text[0] == "-" else total


def _zone_name(got: _Parsed) -> None:
    if got.rest.startswith("UTC"):
        got.take(3)
        got.is_utc = True
        return
    match = _ZONE_NAME.match(got.rest)
    if match is None:
        raise _BadElement
    got.zone_name = got.take(match.end())


# ChST and MeST are the only names with a lower-case letter; GMT may carry hours; some zones are named by an offset;
# the rest have three capitals, or four or five of which the last is T (and WITA). Six capitals are no zone.
_ZONE_NAME = re.compile(
    r"ChST|MeST|GMT(?:[+-](?:2[0-3]|[01]?[0-9])(?![0-9]))?|[+-](?:2[0-3]|[01]?[0-9])(?![0-9])"
    r"|(?![A-Z]{6})(?:[A-Z]{4}T|(?:[A-Z]{3}T|WITA)(?![A-Z])|[A-Z]{3}(?![A-Z]))"
)


def _day_of(got: _Parsed, layout: str, value: str) -> tuple[int, int, int]:
    if got.year_day < 0:
        month = max(got.month, 1) if got.month >= 0 else 1
        day = got.day if got.day >= 0 else 1
    else:
        month, day = _from_year_day(got, layout, value)
    if not 1 <= day <= days_in_month(got.year, month):
        raise _problem(layout, value, ": day out of range")
    return got.year, month, day


def _from_year_day(got: _Parsed, layout: str, value: str) -> tuple[int, int]:
    day = got.year_day
    if not 1 <= day <= 337 + days_in_month(got.year, 2):
        raise _problem(layout, value, ": day-of-year out of range")
    month = 1
    while day > days_in_month(got.year, month):
        day -= days_in_month(got.year, month)
        month += 1
    if got.month >= 0 and got.month != month:
        raise _problem(layout, value, ": day-of-year does not match month")
    if got.day >= 0 and got.day != day:
        raise _problem(layout, value, ": day-of-year does not match day")
    return month, day
