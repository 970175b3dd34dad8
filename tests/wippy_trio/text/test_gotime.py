"""Times, layouts and durations, case by case: `time_cases.json` was recorded from Go's time package (1.26)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.text.goduration import format_duration, parse_duration
from wippy_trio.text.golayout import LAYOUTS, format_time
from wippy_trio.text.golayout_parse import parse_time
from wippy_trio.text.gotime import UTC, ZERO, Duration, Time, date, fixed_zone, load_location, local_location, unix

CASES = json.loads((Path(__file__).parent / "time_cases.json").read_text())
NANO = LAYOUTS["RFC3339NANO"]


def test_recorded_formats() -> None:
    for zone, seconds, nanoseconds, week, texts in CASES["format"]:
        time = unix(seconds, nanoseconds, load_location(zone))
        assert [format_time(time, layout) for layout in CASES["layouts"]] == texts
        assert time.iso_week() == week


def test_recorded_parses() -> None:
    for zone, layout, value, *expected in CASES["parse"]:
        if len(expected) == 1:
            with pytest.raises(InvalidError) as caught:
                parse_time(layout, value, load_location(zone))
            assert [str(caught.value)] == expected
        else:
            time = parse_time(layout, value, load_location(zone))
            assert [str(time), time.location.name] == expected


def test_recorded_dates() -> None:
    unit = Duration(7 * 3_600_000_000_000)
    for zone, parts, *expected in CASES["date"]:
        time = date(tuple(parts[:3]), tuple(parts[3:]), load_location(zone))
        moved = (time, time.add_date(1, -2, 3), time.truncate(unit), time.round(unit))
        shown = [format_time(item, NANO) for item in moved]
        at = time.civil()
        assert [*shown, at.weekday, at.year_day] == expected


def test_recorded_durations() -> None:
    for text, *expected in CASES["duration"]:
        if len(expected) == 1:
            with pytest.raises(InvalidError) as caught:
                parse_duration(text)
            assert [str(caught.value)] == expected
        else:
            ns = parse_duration(text)
            assert [ns, format_duration(ns)] == expected
    for ns, text in CASES["duration_text"]:
        assert format_duration(ns) == text


def test_locations() -> None:
    assert load_location("") is UTC
    assert str(load_location("Asia/Tokyo")) == "Asia/Tokyo"
    for bad in ("Nope/Zone", "../etc/passwd", "America", "/etc/localtime"):
        with pytest.raises(NotFoundError, match="unknown time zone"):
            load_location(bad)
    assert local_location("Asia/Tokyo").zone_at(0).offset_s == 9 * 3600
    assert local_location("Nope").name == "Local"
    assert local_location("Nope").zone_at(0).name == "UTC"
    assert fixed_zone("IST", 19_800).zone_at(0) == ("IST", 19_800, False)
    assert load_location("Europe/London").zone_at(1_720_000_000).is_dst


def test_arithmetic() -> None:
    time = unix(10, 5)
    assert time.add(Duration(-6)) == Time(9_999_999_999)
    assert time.sub(unix(0)) == Duration(10_000_000_005)
    assert unix(1 << 40).sub(unix(-(1 << 40))).ns == (1 << 63) - 1
    assert ZERO.is_zero()
    assert str(ZERO) == "0001-01-01 00:00:00 +0000 UTC"
    assert time.round(Duration(0)) is time
