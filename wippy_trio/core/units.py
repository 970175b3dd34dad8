"""Durations and sizes as texts: Go's duration format and memory sizes.

Source: docs http/server (durations), guides/cli (`--memory-limit`).
"""

from __future__ import annotations

import re
from typing import Final

from wippy_trio.core.errors import InvalidError

__all__ = [
    "duration_ns",
    "duration_s",
    "format_duration",
    "parse_duration_ns",
    "parse_duration_s",
    "parse_size_bytes",
]

_SECOND_NS: Final = 1_000_000_000
_MAX_NS: Final = (1 << 63) - 1
_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek letter mu
    "ms": 1_000_000,
    "s": _SECOND_NS,
    "m": 60 * _SECOND_NS,
    "h": 3_600 * _SECOND_NS,
}
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_SIZE: Final = re.compile(r"\s*([+-]?[0-9]+)\s*(?:([KMGT])B?|B)?\s*", re.IGNORECASE)
_SIZE_SHIFTS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def parse_duration_ns(text: str) -> int:
    """Read a duration such as `1m30s`, `300ms`, `-1.5h` or `0`; the result is in nanoseconds.

    Raises:
        InvalidError: not a duration, with the reference's words (`time: missing unit in duration "5"`).
    """
    rest = text
    negative = rest.startswith("-")
    if rest[:1] in {"-", "+"}:
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise _invalid(text)
    total = 0
    while rest:
        match = _PART.match(rest)
        assert match is not None  # every group may be empty
        total += _part_ns(match, text)
        rest = rest[match.end() :]
        if total > _MAX_NS + (1 if negative else 0):
            raise _invalid(text)
    return -total if negative else total


def _part_ns(match: re.Match[str], text: str) -> int:
    """Nanoseconds of one number with its unit."""
    whole, fraction, unit = match[1], match[2] or "", match[3]
    if not whole and not fraction:
        raise _invalid(text)
    if not unit:
        message = f"time: missing unit in duration {_quote(text)}"
        raise InvalidError(message)
    scale = _UNITS_NS.get(unit)
    if scale is None:
        message = f"time: unknown unit {_quote(unit)} in duration {_quote(text)}"
        raise InvalidError(message)
    nanoseconds = int(whole or "0") * scale
    if fraction:
        # Digits beyond the nanosecond are cut off, as the reference does.
        nanoseconds += int(fraction[:19]) * scale // 10 ** len(fraction[:19])
    return nanoseconds


def parse_duration_s(text: str) -> float:
    """Like `parse_duration_ns`, in seconds."""
    return parse_duration_ns(text) / _SECOND_NS


def duration_ns(value: object) -> int:
    """Nanoseconds of a configuration value: a duration text, or an integer of nanoseconds as Go encodes them.

    Raises:
        InvalidError: neither of these.
    """
    if isinstance(value, str):
        return parse_duration_ns(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    message = f"invalid duration {value!r}: expected a text such as 30s"
    raise InvalidError(message)


def duration_s(value: object) -> float:
    """Like `duration_ns`, in seconds."""
    return duration_ns(value) / _SECOND_NS


def format_duration(nanoseconds: int) -> str:
    """The text of a duration as Go writes it: `1m30s`, `1h0m0s`, `1.5s`, `300ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < _SECOND_NS:
        for unit in ("ms", "\u00b5s", "ns"):
            if rest >= _UNITS_NS[unit]:
                return f"{sign}{_decimal(rest, _UNITS_NS[unit])}{unit}"
    minutes, seconds_ns = divmod(rest, 60 * _SECOND_NS)
    text = f"{_decimal(seconds_ns, _SECOND_NS)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    """`value / scale` without trailing zeros; `scale` is a power of ten."""
    whole, fraction = divmod(value, scale)
    if not fraction:
        return str(whole)
    digits = str(fraction).zfill(len(str(scale)) - 1).rstrip("0")
    return f"{whole}.{digits}"


def parse_size_bytes(text: str) -> int:
    """Read a size in bytes: `1048576`, `512K`, `256M`, `2GB`, `1T` (powers of 1024, either case).

    Raises:
        InvalidError: not a size, or negative.
    """
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) < 0:
        message = f"invalid size {_quote(text)}: expected bytes or a number with K, M, G or T"
        raise InvalidError(message)
    return int(match[1]) << _SIZE_SHIFTS[(match[2] or "").upper()]


def _invalid(text: str) -> InvalidError:
    return InvalidError(f"time: invalid duration {_quote(text)}")


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
