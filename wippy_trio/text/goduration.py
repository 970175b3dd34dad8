"""Durations: signed 64-bit nanoseconds, their texts (`1h30m0s`) and how those are read.

Source: docs page lua/core/time, section Duration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wippy_trio.core.errors import InvalidError

__all__ = ["MAX_NS", "MIN_NS", "Duration", "format_duration", "parse_duration", "quote"]

MAX_NS = (1 << 63) - 1
MIN_NS = -(1 << 63)
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in nanoseconds."""

    ns: int

    def __str__(self) -> str:
        return format_duration(self.ns)


def parse_duration(text: str) -> int:
    """Nanoseconds of a text such as `300ms`, `-1.5h` or `2h45m`; units ns, us, ms, s, m, h; `0` needs none.

    Raises:
        InvalidError: not of this form, or beyond 64 bits.
    """
    rest = text[1:] if text[:1] in ("-", "+") else text
    negative = text[:1] == "-"
    if rest == "0":
        return 0
    if not rest:
        raise _invalid(text)
    total = 0
    while rest:
        match = _PART.match(rest)
        assert match is not None
        whole, fraction, unit = match.groups()
        if not whole and not fraction:
            raise _invalid(text)
        if not unit:
            message = f"time: missing unit in duration {quote(text)}"
            raise InvalidError(message)
        scale = _UNITS.get(unit)
        if scale is None:
            message = f"time: unknown unit {quote(unit)} in duration {quote(text)}"
            raise InvalidError(message)
        total += int(whole or 0) * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        if total > MAX_NS + negative:
            raise _invalid(text)
        rest = rest[match.end() :]
    return -total if negative else total


def _invalid(text: str) -> InvalidError:
    return InvalidError(f"time: invalid duration {quote(text)}")


def format_duration(ns: int) -> str:
    """The text of a duration: `0s`, `1.5s`, `2m0s`, `1h30m0s`, `250ms`, `-3ns`."""
    if ns == 0:
        return "0s"
    sign, rest = ("-", -ns) if ns < 0 else ("", ns)
    if rest < 1_000:
        return f"{sign}{rest}ns"
    if rest < 1_000_000:
        return f"{sign}{_decimal(rest, 3)}\u00b5s"
    if rest < 1_000_000_000:
        return f"{sign}{_decimal(rest, 6)}ms"
    minutes, of_minute = divmod(rest, 60_000_000_000)
    seconds = f"{_decimal(of_minute, 9)}s"
    if not minutes:
        return sign + seconds
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours}h{minutes}m{seconds}" if hours else f"{sign}{minutes}m{seconds}"


def _decimal(number: int, places: int) -> str:
    whole, fraction = divmod(number, 10**places)
    return f"{whole}.{fraction:0{places}d}".rstrip("0") if fraction else str(whole)


def quote(text: str) -> str:
    """`text` in double quotes, with quotes, backslashes, control and non-ASCII bytes escaped."""
    parts = ['"']
    for char in text:
        if char in '"\\':
            parts.append("\\" + char)
        elif " " <= char <= "~":
            parts.append(char)
        else:
            parts += (f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    parts.append('"')
    return "".join(parts)
