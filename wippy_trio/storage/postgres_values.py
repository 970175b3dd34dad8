"""PostgreSQL's values and errors against ours: parameters as text, columns by their type, SQLSTATE codes.

Every parameter travels as text whose type the server infers, as the reference's driver sends them. Only bytes, and
texts with a backslash, need the parameter's type: a `bytea` is written in hex. Source: docs lua/storage/sql,
PostgreSQL's manual, "Frontend/Backend Protocol" and appendix "PostgreSQL Error Codes".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from sandbox.errors import KINDS
from wippy_trio.core.errors import (
    AlreadyExistsError,
    CanceledError,
    ConflictError,
    InvalidError,
    LuaError,
    PermissionDeniedError,
    TimeoutExpiredError,
    UnavailableError,
)
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.sql import SqlValue

__all__ = ["BYTEA", "encoded", "error_from_state", "needs_types", "reader"]

#: Type number of `bytea`.
BYTEA = 17
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_EXACT_FLOAT = 2.0**53


def needs_types(params: Sequence[SqlValue]) -> bool:
    """Whether the parameters' types must be known to write `params`."""
    return any(isinstance(value, bytes) or (isinstance(value, str) and "\\" in value) for value in params)


def encoded(params: Sequence[SqlValue], types: Sequence[int] = ()) -> list[bytes | None]:
    """`params` as the texts that PostgreSQL reads.

    Args:
        params: the values.
        types: type numbers of the parameters, where they are known.

    Raises:
        InvalidError: an integer beyond 64 bits, text that is no Unicode or holds a zero byte, or a type that cannot
            be bound.
    """
    return [_encoded(value, index, types) for index, value in enumerate(params)]


def _encoded(value: SqlValue, index: int, types: Sequence[int]) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int):
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise InvalidError(f"parameter {index + 1}: integer does not fit into 64 bits")
        return b"%d" % value
    if isinstance(value, float):
        return _float_text(value).encode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().encode()
    if not isinstance(value, str | bytes):
        raise InvalidError(f"parameter {index + 1}: cannot bind a value of type {type(value).__name__}")
    try:
        data = value if isinstance(value, bytes) else value.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"parameter {index + 1}: text is not valid Unicode") from None
    if index < len(types) and types[index] == BYTEA:
        return b"\\x" + data.hex().encode()
    if b"\0" in data:
        raise InvalidError(f"parameter {index + 1}: text holds a zero byte, which PostgreSQL cannot keep")
    return data


def _float_text(value: float) -> str:
    """A whole number without its fraction, so that it may go into an integer column, as in the reference."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value.is_integer() and abs(value) <= _EXACT_FLOAT:
        return f"{value:.0f}"
    return f"{value!r}" if value == value else "NaN"  # noqa: PLR0124 - that is what NaN is


def _text(value: bytes) -> SqlValue:
    return value.decode("utf-8", "surrogateescape")


def _bytes(value: bytes) -> SqlValue:
    if value.startswith(b"\\x"):
        return bytes.fromhex(value[2:].decode())
    from psycopg import pq  # a server may be set to write the older form

    return bytes(pq.Escaping().unescape_bytea(value))


def _moment(value: bytes) -> SqlValue:
    """A time in UTC; one without a zone is taken for UTC. What Python has no time for (`infinity`, BC) stays text."""
    text = value.decode()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _date(value: bytes) -> SqlValue:
    text = value.decode()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _time(value: bytes) -> SqlValue:
    """A time of day, of the year 0: what the reference gives, and no Python time."""
    return f"0000-01-01T{value[:8].decode()}Z"


_READERS: Mapping[int, Callable[[bytes], SqlValue]] = {
    16: lambda value: value == b"t",
    BYTEA: _bytes,
    20: int,
    21: int,
    23: int,
    700: float,
    701: float,
    1082: _date,
    1083: _time,
    1114: _moment,
    1184: _moment,
}


def reader(type_number: int) -> Callable[[bytes], SqlValue]:
    """What reads the text of a column of that type; any other than these is text (numeric, json, ...)."""
    return _READERS.get(type_number, _text)


_EXACT: Mapping[str, Callable[..., LuaError]] = {
    "08P01": InvalidError,  # a wrong number of parameters
    "23505": AlreadyExistsError,
    "25006": PermissionDeniedError,
    "42501": PermissionDeniedError,
    "40001": ConflictError,
    "40P01": ConflictError,
    "55P03": UnavailableError,
    "57014": CanceledError,
}
_CLASSES: Mapping[str, Callable[..., LuaError]] = {
    "08": UnavailableError,
    "0A": InvalidError,
    "21": InvalidError,
    "22": InvalidError,
    "23": InvalidError,
    "25": InvalidError,
    "26": InvalidError,
    "28": PermissionDeniedError,
    "34": InvalidError,
    "3B": InvalidError,
    "3D": InvalidError,
    "3F": InvalidError,
    "42": InvalidError,
    "44": InvalidError,
    "53": UnavailableError,
    "54": InvalidError,
    "57": UnavailableError,
    "P0": InvalidError,
}
_RETRYABLE = frozenset({"40001", "40P01"})  # the whole transaction may be tried again


def error_from_state(state: str, message: str) -> LuaError:
    """An error of the server as ours; `details.sqlstate` holds the code.

    A wrong statement or value is `Invalid`, a broken unique key `AlreadyExists`, a lost serialization race or a
    deadlock `Conflict` and worth a retry, a server that is going down or full `Unavailable`, a refused login, right or
    write `PermissionDenied`, a statement that took too long `Timeout`.
    """
    if state == "57014" and "timeout" in message:
        return TimeoutExpiredError(message, details={"sqlstate": state})
    make = _EXACT.get(state) or _CLASSES.get(state[:2])
    if make is None:
        return StorageError(message, kind=KINDS["INTERNAL"], details={"sqlstate": state})
    error = make(message, details={"sqlstate": state})
    if state in _RETRYABLE:
        error.retryable = True
    return error
