"""Instants, zones and durations with the arithmetic of the reference: pure functions, nanosecond integers, no clock.

Layouts are in `golayout`, texts of durations in `goduration`. Source: docs page lua/core/time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC as PY_UTC
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from wippy_trio.core.errors import NotFoundError
from wippy_trio.text.goduration import MAX_NS, MIN_NS, Duration

__all__ = [
    "UTC",
    "ZERO",
    "Duration",
    "Location",
    "Time",
    "Zone",
    "date",
    "days_in_month",
    "fixed_zone",
    "load_location",
    "local_location",
    "unix",
]

NS = 1_000_000_000
_DAY_S = 86_400
#: Unix seconds of 0001-01-01T00:00:00 UTC, the zero instant.
_ZERO_S = -62_135_596_800
_EPOCH = datetime(1970, 1, 1, tzinfo=PY_UTC)
#: zoneinfo works in the years 1 to 9999; before, the first rule holds, after, the calendar repeats every 400 years.
_FIRST_S, _LAST_S = -62_135_424_000, 253_402_127_999
_CYCLE_S = 146_097 * _DAY_S


class Zone(NamedTuple):
    """The zone in effect at an instant."""

    name: str
    offset_s: int
    is_dst: bool


@dataclass(frozen=True, slots=True)
class Location:
    """A time zone: fixed (`rules` None) or by the rules of the IANA zone `rules`. `name` is what it calls itself."""

    name: str
    offset_s: int = 0
    rules: str | None = None

    def zone_at(self, unix_s: int) -> Zone:
        """The zone in effect at a Unix time in seconds."""
        if self.rules is None:
            return Zone(self.name, self.offset_s, False)
        if unix_s > _LAST_S:
            unix_s -= -((_LAST_S - unix_s) // _CYCLE_S) * _CYCLE_S
        at = _EPOCH + timedelta(seconds=max(unix_s, _FIRST_S))
        moment = at.astimezone(ZoneInfo(self.rules))
        offset = moment.utcoffset() or timedelta()
        return Zone(moment.tzname() or "", offset.days * _DAY_S + offset.seconds, bool(moment.dst()))

    def offset_named(self, name: str, unix_s: int) -> int | None:
        """The offset of the zone abbreviated `name`, best the one in effect at local time `unix_s`; None if unknown."""
        if self.rules is None:
            return self.offset_s if name == self.name else None
        found = None
        for zone in _zones_of(self.rules):
            if zone.name == name:
                if self.zone_at(unix_s - zone.offset_s).name == name:
                    return self.zone_at(unix_s - zone.offset_s).offset_s
                found = zone.offset_s if found is None else found
        return found

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=32)
def _zones_of(rules: str) -> tuple[Zone, ...]:
    """Zones a place has had, latest first, by looking twice a year: zoneinfo does not list them."""
    location = Location(rules, rules=rules)
    seen = dict.fromkeys(location.zone_at(at) for at in _samples())
    return tuple(seen)


def _samples() -> Iterator[int]:
    for half in range(2 * (2037 - 1900), 0, -1):
        yield (half - 140) * _DAY_S * 365 // 2
    yield _FIRST_S


UTC = Location("UTC")


@lru_cache(maxsize=1024)
def load_location(name: str) -> Location:
    """The zone with IANA name `name` (`UTC` and the empty name are UTC).

    Raises:
        NotFoundError: no such zone.
    """
    if name in ("", "UTC"):
        return UTC
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        message = f"unknown time zone {name}"
        raise NotFoundError(message) from error
    return Location(name, rules=name)


def local_location(zone: str) -> Location:
    """The location called `Local`, with the rules of the zone `zone` (from `Clock.zone`; UTC where that is unknown)."""
    try:
        return Location("Local", rules=load_location(zone).name)
    except NotFoundError:
        return Location("Local", rules="UTC")


def fixed_zone(name: str, offset_s: int) -> Location:
    """A zone with one offset, in seconds east of UTC."""
    return Location(name, offset_s)


# ------------------------------------------------------------------------------------------------------ calendar
def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 1-12, any day."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year + day - 1 - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day since 1970-01-01."""
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (month <= 2), month, of_year - (153 * month_from_march + 2) // 5 + 1


def days_in_month(year: int, month: int) -> int:
    """Days of a month (1-12)."""
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


class Civil(NamedTuple):
    """An instant split into the parts of a calendar and a clock in its zone; weekday 0 is Sunday."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    weekday: int
    year_day: int
    zone: Zone


@dataclass(frozen=True, slots=True)
class Time:
    """An instant, in nanoseconds since 1970 UTC, with the location it is shown in."""

    unix_ns: int
    location: Location = UTC

    def civil(self) -> Civil:
        """The parts of the instant in its location."""
        unix_s, nanosecond = divmod(self.unix_ns, NS)
        zone = self.location.zone_at(unix_s)
        days, of_day = divmod(unix_s + zone.offset_s, _DAY_S)
        year, month, day = civil_from_days(days)
        hour, of_hour = divmod(of_day, 3600)
        minute, second = divmod(of_hour, 60)
        year_day = days - days_from_civil(year, 1, 1) + 1
        return Civil(year, month, day, hour, minute, second, nanosecond, (days + 4) % 7, year_day, zone)

    def add(self, duration: Duration) -> Time:
        """The instant `duration` later."""
        return Time(self.unix_ns + duration.ns, self.location)

    def sub(self, other: Time) -> Duration:
        """The duration since `other`, kept within a duration's range (about 292 years)."""
        return Duration(min(max(self.unix_ns - other.unix_ns, MIN_NS), MAX_NS))

    def add_date(self, years: int, months: int, days: int) -> Time:
        """Same clock time, other date; a day beyond its month runs into the next."""
        at = self.civil()
        return date(
            (at.year + years, at.month + months, at.day + days),
            (at.hour, at.minute, at.second, at.nanosecond),
            self.location,
        )

    def shown_in(self, location: Location) -> Time:
        """The same instant in another location."""
        return Time(self.unix_ns, location)

    def truncate(self, unit: Duration) -> Time:
        """Rounded down to a multiple of `unit` since the zero instant; unchanged where `unit` is not positive."""
        return self if unit.ns <= 0 else Time(self.unix_ns - self._beyond(unit), self.location)

    def round(self, unit: Duration) -> Time:
        """Rounded to the nearest multiple of `unit` since the zero instant, halves up."""
        if unit.ns <= 0:
            return self
        beyond = self._beyond(unit)
        return Time(self.unix_ns - beyond + (unit.ns if 2 * beyond >= unit.ns else 0), self.location)

    def _beyond(self, unit: Duration) -> int:
        return (self.unix_ns - _ZERO_S * NS) % unit.ns

    def is_zero(self) -> bool:
        """Whether this is the zero instant, 0001-01-01T00:00:00 UTC."""
        return self.unix_ns == _ZERO_S * NS

    def iso_week(self) -> int:
        """The ISO 8601 week number, 1-53."""
        at = self.civil()
        thursday = days_from_civil(at.year, at.month, at.day) - (at.weekday + 6) % 7 + 3
        year = civil_from_days(thursday)[0]
        return (thursday - days_from_civil(year, 1, 1)) // 7 + 1

    def __str__(self) -> str:
        from wippy_trio.text.golayout import format_time  # a cycle by nature: a layout formats a time

        return format_time(self, "2006-01-02 15:04:05.999999999 -0700 MST")


ZERO = Time(_ZERO_S * NS)


def unix(seconds: int, nanoseconds: int = 0, location: Location = UTC) -> Time:
    """The instant `seconds` and `nanoseconds` after 1970; either may be negative or large."""
    return Time(seconds * NS + nanoseconds, location)


def date(day: tuple[int, int, int], clock: tuple[int, int, int, int], location: Location) -> Time:
    """The instant of a local date (year, month, day) and clock (hour, minute, second, nanosecond).

    Parts out of their range carry over: month 13 is January of the next year, second -1 the last of the minute
    before. A clock time that a zone change skips or repeats gets one of the two offsets, as in the reference.
    """
    year, month, of_month = day
    hour, minute, second, nanosecond = clock
    carry, month_index = divmod(month - 1, 12)
    days = days_from_civil(year + carry, month_index + 1, 1) + of_month - 1
    second, nanosecond = second + nanosecond // NS, nanosecond % NS
    local_s = days * _DAY_S + hour * 3600 + minute * 60 + second
    offset = location.zone_at(local_s).offset_s
    if offset:
        # The guess was made as if local time were UTC; near a zone change the offset at the real instant decides.
        offset = location.zone_at(local_s - offset).offset_s
    return Time((local_s - offset) * NS + nanosecond, location)
