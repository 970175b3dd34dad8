from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wippy_trio.core.errors import (
    AlreadyExistsError,
    CanceledError,
    ConflictError,
    InvalidError,
    PermissionDeniedError,
    TimeoutExpiredError,
    UnavailableError,
)
from wippy_trio.storage.errors import StorageError
from wippy_trio.storage.postgres_values import BYTEA, encoded, error_from_state, needs_types, reader


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, b"true"),
        (-5, b"-5"),
        (2.0, b"2"),
        (1.5, b"1.5"),
        (1e300, b"1e+300"),
        (float("inf"), b"Infinity"),
        (float("-inf"), b"-Infinity"),
        (float("nan"), b"NaN"),
        ("é", "é".encode()),
        (b"raw", b"raw"),
        (datetime(2026, 1, 2, 5, tzinfo=timezone(timedelta(hours=2))), b"2026-01-02T03:00:00+00:00"),
    ],
)
def test_parameters_are_texts(value, expected) -> None:
    assert encoded([value]) == [expected]


def test_bytea_is_written_in_hex_whatever_is_bound() -> None:
    assert encoded([b"\x00\xff", "a\\b", 1], [BYTEA, BYTEA, 23]) == [b"\\x00ff", b"\\x615c62", b"1"]


def test_types_are_asked_for_only_where_they_matter() -> None:
    assert not needs_types([1, "plain", None, True])
    assert needs_types([1, b"x"])
    assert needs_types(["back\\slash"])


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "parameter 1: integer does not fit into 64 bits"),
        ("\ud800", "parameter 1: text is not valid Unicode"),
        ("a\0b", "parameter 1: text holds a zero byte"),
        ([], "parameter 1: cannot bind a value of type list"),
    ],
)
def test_what_cannot_be_bound(value, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        encoded([value])


@pytest.mark.parametrize(
    ("type_number", "text", "expected"),
    [
        (16, b"t", True),
        (16, b"f", False),
        (20, b"-9223372036854775808", -(2**63)),
        (701, b"1e+300", 1e300),
        (17, b"\\x00ff", b"\x00\xff"),
        (17, b"a\\000b", b"a\x00b"),
        (1700, b"12.50", "12.50"),
        (1184, b"2026-01-02 03:04:05.1+02", datetime(2026, 1, 2, 1, 4, 5, 100000, UTC)),
        (1114, b"2026-01-02 03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1184, b"infinity", "infinity"),
        (1082, b"2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        (1082, b"0044-03-15 BC", "0044-03-15 BC"),
        (1083, b"03:04:05.5", "0000-01-01T03:04:05Z"),
        (25, b"\xc3\xa9", "é"),
    ],
)
def test_columns_are_read_by_their_type(type_number, text, expected) -> None:
    if text.startswith(b"a\\"):
        pytest.importorskip("psycopg")
    assert reader(type_number)(text) == expected


@pytest.mark.parametrize(
    ("state", "kind", "retryable"),
    [
        ("42601", InvalidError, False),
        ("08P01", InvalidError, False),
        ("23505", AlreadyExistsError, False),
        ("23502", InvalidError, False),
        ("40001", ConflictError, True),
        ("40P01", ConflictError, True),
        ("53300", UnavailableError, True),
        ("57P01", UnavailableError, True),
        ("25006", PermissionDeniedError, False),
        ("28P01", PermissionDeniedError, False),
        ("57014", CanceledError, False),
        ("58030", StorageError, False),
    ],
)
def test_states_have_kinds(state, kind, retryable) -> None:
    error = error_from_state(state, "text")
    assert type(error) is kind
    assert (error.retryable, error.details, str(error)) == (retryable, {"sqlstate": state}, "text")


def test_a_statement_timeout_is_a_timeout() -> None:
    error = error_from_state("57014", "canceling statement due to statement timeout")
    assert isinstance(error, TimeoutExpiredError)
