"""The time part of the standard `os` library. Source: docs lua/system/ostime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wippy_trio.module import Call, Module, ModuleClass

if TYPE_CHECKING:
    from wippy_trio.text.gotime import Location, Time

# This module is part of every start, and calendars of few: they are imported at first use.

__all__ = ["MODULE"]

MODULE = Module("os", classes={ModuleClass.TIME, ModuleClass.WORKFLOW}, prelude="os.lua", always=True)

#: strftime letter -> time layout.
_LAYOUTS: Mapping[str, str] = {
    "a": "Mon", "A": "Monday", "b": "Jan", "B": "January", "c": "Mon Jan _2 15:04:05 2006", "d": "02", "H": "15",
    "I": "03", "m": "01", "M": "04", "p": "PM", "S": "05", "x": "01/02/06", "X": "15:04:05", "y": "06", "Y": "2006",
    "z": "-0700",
}  # fmt: skip
_COMPUTED: Mapping[str, Callable[[Time], str]] = {
    "j": lambda at: f"{at.civil().year_day:03d}",
    "U": lambda at: f"{at.iso_week():02d}",  # the ISO week for both, as in the reference
    "W": lambda at: f"{at.iso_week():02d}",
    "w": lambda at: str(at.civil().weekday),
    "Z": lambda at: at.civil().zone.name,
    "%": lambda _: "%",
}


def _local(call: Call) -> Location:
    from wippy_trio.text.gotime import local_location

    return local_location(call.environment.clock.zone())


@MODULE.raw("os.time")
def time(call: Call) -> int:
    """Seconds of Unix time."""
    return call.environment.clock.wall_ns() // 1_000_000_000


@MODULE.immediate("os.time_of")
def time_of(call: Call, fields: Mapping[str, object]) -> int:
    """Unix time of a local date; year, month and day default to today's, the clock to midnight."""
    local = _local(call)
    from wippy_trio.text.gotime import Time, date

    today = Time(call.environment.clock.wall_ns(), local).civil()

    def part(name: str, default: int) -> int:
        value = fields.get(name)
        return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default

    day = (part("year", today.year), part("month", today.month), part("day", today.day))
    return date(day, (part("hour", 0), part("min", 0), part("sec", 0), 0), local).unix_ns // 1_000_000_000


@MODULE.raw("os.date")
def date_text(call: Call, form: bytes, timestamp: int | None = None) -> bytes:
    """A time in strftime's way; `!` first for UTC. Unknown letters stay as they are."""
    from wippy_trio.text.golayout import format_time

    text = form.decode("utf-8", "surrogateescape")
    at = _at(call, text, timestamp)
    parts = text.removeprefix("!").split("%")
    made = [parts[0]]
    index = 1
    while index < len(parts):
        part = parts[index]
        if not part:  # two signs in a row, or one at the very end
            made.append("%")
            if index + 1 < len(parts):
                made.append(parts[index + 1])
            index += 2
            continue
        letter = part[0]
        if letter in _LAYOUTS:
            made.append(format_time(at, _LAYOUTS[letter]))
        elif letter in _COMPUTED:
            made.append(_COMPUTED[letter](at))
        else:
            made.append("%" + letter)
        made.append(part[1:])
        index += 1
    return "".join(made).encode("utf-8", "surrogateescape")


@MODULE.immediate("os.date_table")
def date_table(call: Call, form: str, timestamp: int | None = None) -> dict[str, object]:
    """The parts of a time, for the formats `*t` and `!*t`."""
    at = _at(call, form, timestamp).civil()
    return {
        "year": at.year,
        "month": at.month,
        "day": at.day,
        "hour": at.hour,
        "min": at.minute,
        "sec": at.second,
        "wday": at.weekday + 1,
        "yday": at.year_day,
        # Any offset counts as daylight saving; the reference confuses the two as well.
        "isdst": at.zone.offset_s != 0,
    }


def _at(call: Call, form: str, timestamp: int | None) -> Time:
    ns = call.environment.clock.wall_ns() if timestamp is None else timestamp * 1_000_000_000
    from wippy_trio.text.gotime import UTC, unix

    return unix(0, ns, UTC if form.startswith("!") else _local(call))


@MODULE.raw("os.clock")
def clock(call: Call) -> float:
    """Seconds of the monotonic clock since this was first asked in the node, or since its start."""
    now = call.environment.clock.monotonic_s()
    started = float(call.runtime.extras.setdefault("os.started_s", now))
    return max(now - started, 0.0)
