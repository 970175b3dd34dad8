from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wippy_trio.core.errors import InvalidError
from wippy_trio.core.units import (
    duration_ns,
    duration_s,
    format_duration,
    parse_duration_ns,
    parse_duration_s,
    parse_size_bytes,
)

MINUTE = 60_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("5s", 5_000_000_000),
        ("1m30s", 90_000_000_000),
        ("300ms", 300_000_000),
        ("1.5h", 90 * MINUTE),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("-1.5h", -90 * MINUTE),
        ("+5s", 5_000_000_000),
        ("10µs", 10_000),
        ("10\u03bcs", 10_000),
        ("10us", 10_000),
        ("52763797000ns", 52_763_797_000),
        ("2h45m30.5s", 165 * MINUTE + 30_500_000_000),
        ("9223372036854775807ns", (1 << 63) - 1),
        ("-9223372036854775808ns", -(1 << 63)),
        ("0.100000000000000000000h", 6 * MINUTE),
    ],
)
def test_reads_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".", 'time: invalid duration "."'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("never", 'time: invalid duration "never"'),
    ],
)
def test_refuses_what_is_no_duration(text: str, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_duration_ns(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (4 * MINUTE + 5_001_000_000, "4m5.001s"),
        (3_600_000_000_000, "1h0m0s"),
        (-90_000_000_000, "-1m30s"),
    ],
)
def test_writes_durations(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_what_is_written_reads_back(nanoseconds: int) -> None:
    assert parse_duration_ns(format_duration(nanoseconds)) == nanoseconds


def test_values_of_configuration() -> None:
    assert duration_ns("1s") == duration_ns(1_000_000_000)
    assert parse_duration_s("1500ms") == duration_s("1.5s") == 1.5
    wrongs: list[object] = [True, None, 1.5, []]
    for wrong in wrongs:
        with pytest.raises(InvalidError):
            duration_ns(wrong)


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("1024", 1024), ("1K", 1 << 10), ("2mb", 2 << 20), ("1 G", 1 << 30), ("3TB", 3 << 40), ("7B", 7)],
)
def test_reads_sizes(text: str, count: int) -> None:
    assert parse_size_bytes(text) == count


@pytest.mark.parametrize("text", ["", "K", "1X", "-1K", "1.5G", "1KK"])
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_size_bytes(text)
