"""Time layouts by example (`2006-01-02T15:04:05Z07:00`): their parts, and formatting. Parsing is in `golayout_parse`.

Source: docs page lua/core/time, "From String" and "Format Layouts"; the layouts are those of Go's time package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from wippy_trio.text.gotime import Civil, Time

__all__ = ["DAYS", "LAYOUTS", "MONTHS", "RFC3339", "chunks", "format_time"]

RFC3339 = "2006-01-02T15:04:05Z07:00"
#: The layouts with a name, as the Lua module spells them.
LAYOUTS = {
    "RFC3339": RFC3339,
    "RFC3339NANO": "2006-01-02T15:04:05.999999999Z07:00",
    "RFC822": "02 Jan 06 15:04 MST",
    "RFC822Z": "02 Jan 06 15:04 -0700",
    "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
    "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
    "KITCHEN": "3:04PM",
    "STAMP": "Jan _2 15:04:05",
    "STAMP_MILLI": "Jan _2 15:04:05.000",
    "STAMP_MICRO": "Jan _2 15:04:05.000000",
    "STAMP_NANO": "Jan _2 15:04:05.000000000",
    "DATE_TIME": "2006-01-02 15:04:05",
    "DATE_ONLY": "2006-01-02",
    "TIME_ONLY": "15:04:05",
}
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

# Longest forms first. "_2006" is a literal underscore before a year; "Jan" and "Mon" are words only when no
# lower-case letter follows; a fraction only when no further digit follows.
_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|002|0[1-6]|15|1|_(?=2006)|2006|__2|_2|2|3|4|5|PM|pm"
    r"|-070000|-07:00:00|-0700|-07:00|-07|Z070000|Z07:00:00|Z0700|Z07:00|Z07|[.,](?:0+|9+)(?![0-9])"
)


@lru_cache(maxsize=512)
def chunks(layout: str) -> tuple[tuple[str, str], ...]:
    """The layout as (literal text, element) pairs; the last element is empty."""
    found: list[tuple[str, str]] = []
    start = at = 0
    while (match := _CHUNK.search(layout, at)) is not None:
        at = match.end()
        if match.group() != "_":
            found.append((layout[start : match.start()], match.group()))
            start = at
    found.append((layout[start:], ""))
    return tuple(found)


# ---------------------------------------------------------------------------------------------------- formatting
def format_time(time: Time, layout: str) -> str:
    """The text of `time` in `layout`; whatever is not an element of a layout is copied."""
    at = time.civil()
    return "".join([literal + _element_text(element, at) for literal, element in chunks(layout)])


def _element_text(element: str, at: Civil) -> str:
    maker = _SIMPLE.get(element)
    if maker is not None:
        return maker(at)
    if element[0] in "-Z":
        return _offset_text(element, at.zone.offset_s)
    digits = f"{at.nanosecond:09d}"[: len(element) - 1].ljust(len(element) - 1, "0")
    if element[1] == "9":
        digits = digits.rstrip("0")
        return element[0] + digits if digits else ""
    return element[0] + digits


_SIMPLE: Mapping[str, Callable[[Civil], str]] = {
    "": lambda _: "",
    "2006": lambda at: f"{at.year:04d}" if at.year >= 0 else f"-{-at.year:04d}",
    "06": lambda at: f"{at.year % 100 if at.year >= 0 else 0:02d}",
    "January": lambda at: MONTHS[at.month - 1],
    "Jan": lambda at: MONTHS[at.month - 1][:3],
    "1": lambda at: str(at.month),
    "01": lambda at: f"{at.month:02d}",
    "Monday": lambda at: DAYS[at.weekday],
    "Mon": lambda at: DAYS[at.weekday][:3],
    "2": lambda at: str(at.day),
    "_2": lambda at: f"{at.day:2d}",
    "02": lambda at: f"{at.day:02d}",
    "__2": lambda at: f"{at.year_day:3d}",
    "002": lambda at: f"{at.year_day:03d}",
    "15": lambda at: f"{at.hour:02d}",
    "3": lambda at: str(at.hour % 12 or 12),
    "03": lambda at: f"{at.hour % 12 or 12:02d}",
    "4": lambda at: str(at.minute),
    "04": lambda at: f"{at.minute:02d}",
    "5": lambda at: str(at.second),
    "05": lambda at: f"{at.second:02d}",
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "MST": lambda at: at.zone.name or _offset_text("-0700", at.zone.offset_s),
}


def _offset_text(element: str, offset_s: int) -> str:
    if element[0] == "Z" and offset_s == 0:
        return "Z"
    minutes = abs(offset_s) // 60
    # The sign goes by whole minutes, as in the reference: an offset of -30 s is +00:00.
    sign = "-" if offset_s < 0 and minutes else "+"
    parts = [f"{minutes // 60:02d}"]
    if len(element) > 3:
        parts.append(f"{minutes % 60:02d}")
    if len(element) > 6:
        parts.append(f"{abs(offset_s) % 60:02d}")
    return sign + (":" if ":" in element else "").join(parts)
