"""SQLite's values and errors against ours: declared column types, timestamps, result codes.

The declared type of a column decides how a stored value comes back, as the reference's driver does it: BOOLEAN gives a
boolean, DATE, DATETIME and TIMESTAMP give a time. Source: docs lua/storage/sql, tests test/sql.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone

from sandbox.errors import KINDS
from wippy_trio.core.errors import (
    AlreadyExistsError,
    CanceledError,
    InvalidError,
    LuaError,
    PermissionDeniedError,
    UnavailableError,
)
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.sql import SqlValue

__all__ = ["bindable", "error_from_code", "from_column", "time_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: What an unreadable timestamp becomes: the reference gives its zero time.
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
_TIME_TYPES = frozenset({"timestamp", "datetime", "date"})
_TIME_PATTERN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?(?:([+-])(\d\d):(\d\d))?)?)?"
)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_MILLISECONDS_FROM = 10**12  # a stored number this large is a time in milliseconds, not in seconds

_INVALID_CODES = frozenset({1, 18, 20, 25})  # ERROR, TOOBIG, MISMATCH, RANGE
_BUSY_CODES = frozenset({5, 6, 13, 14, 15})  # BUSY, LOCKED, FULL, CANTOPEN, PROTOCOL
_REFUSED_CODES = frozenset({3, 8, 23})  # PERM, READONLY, AUTH
_UNIQUE_CODES = frozenset({1555, 2067, 2579})  # CONSTRAINT_PRIMARYKEY, _UNIQUE, _ROWID


def time_text(moment: datetime) -> str:
    """`moment` as SQLite text in UTC; such texts sort as the times do.

    The fraction is left out when zero and has no trailing zeros, so that files written by the reference compare equal.
    """
    moment = moment.astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}+00:00"


def bindable(params: Sequence[SqlValue]) -> tuple[int | float | str | bytes | None, ...]:
    """`params` as SQLite takes them: booleans as 0 and 1, times as text.

    Raises:
        InvalidError: an integer beyond 64 bits, text that is no Unicode, or a type that cannot be bound.
    """
    return tuple(_bindable(value, index) for index, value in enumerate(params, start=1))


def _bindable(value: SqlValue, index: int) -> int | float | str | bytes | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not _INT64_MIN <= value <= _INT64_MAX:
        raise InvalidError(f"parameter {index}: integer does not fit into 64 bits")
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidError(f"parameter {index}: text is not valid Unicode") from None
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    raise InvalidError(f"parameter {index}: cannot bind a value of type {type(value).__name__}")


def from_column(declared: str | None) -> Callable[[SqlValue], SqlValue] | None:
    """How values of a column declared as `declared` are read; None where they are taken as stored."""
    name = (declared or "").lower()
    if name == "boolean":
        return _as_boolean
    return _as_time if name in _TIME_TYPES else None


def _as_boolean(value: SqlValue) -> SqlValue:
    return value > 0 if isinstance(value, int) else value


def _as_time(value: SqlValue) -> SqlValue:
    try:
        if isinstance(value, int):
            in_milliseconds = abs(value) > _MILLISECONDS_FROM
            return _EPOCH + (timedelta(milliseconds=value) if in_milliseconds else timedelta(seconds=value))
        if isinstance(value, str):
            return _parse_time(value)
    except (ValueError, OverflowError):
        return _ZERO_TIME
    return value


def _parse_time(text: str) -> datetime:
    match = _TIME_PATTERN.fullmatch(text.removesuffix("Z"))
    if match is None:
        return _ZERO_TIME
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=timezone(-offset if sign == "-" else offset),
    ).astimezone(UTC)


def error_from_code(code: int, message: str) -> LuaError:
    """SQLite's (extended) result `code` and text as an error of ours.

    A wrong statement is `Invalid`, a broken unique key `AlreadyExists`, other broken constraints `Invalid`, a locked or
    full database `Unavailable` and worth a retry, a write into a read-only one `PermissionDenied`.
    """
    primary = code & 0xFF
    if code in _UNIQUE_CODES:
        return AlreadyExistsError(message)
    if primary in _INVALID_CODES or primary == 19:  # CONSTRAINT
        return InvalidError(message)
    if primary in _BUSY_CODES:
        return UnavailableError(message)
    if primary in _REFUSED_CODES:
        return PermissionDeniedError(message)
    if primary == 9:  # INTERRUPT
        return CanceledError(message)
    return StorageError(message, kind=KINDS["INTERNAL"])
