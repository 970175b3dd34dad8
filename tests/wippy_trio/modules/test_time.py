from __future__ import annotations

from typing import Any

import pytest
import trio.testing

Clock = trio.testing.MockClock


async def test_components_and_arithmetic(lua: Any) -> None:
    source = """
        local time = require('time')
        local t = time.date(2024, 2, 29, 15, 4, 5, 123456789, time.utc)
        local y, m, d = t:date()
        local h, min, s = t:clock()
        local hour = time.parse_duration('1h')
        return {
          {y, m, d, h, min, s, t:nanosecond(), t:weekday(), t:year_day(), t:unix(), t:unix_nano()},
          {t:add('24h'):format_rfc3339(), t:add(-5 * time.SECOND):second(), t:add(hour):hour(),
            t:add(1.9):nanosecond()},
          {t:add_date(1, 0, 0):format(time.DATE_ONLY), t:add_date(0, -2, 1):format(time.DATE_ONLY),
            t:add_date(0, 0, -60):format(time.DATE_ONLY)},
          {t:add('1h'):sub(t):hours(), t:sub(t:add('90s')):seconds(), tostring(t:add('1h30m'):sub(t))},
          {t:before(t:add(1)), t:after(t:add(1)), t:equal(t:in_local()), t:is_zero(),
            time.date(1, 1, 1, 0, 0, 0, 0, time.utc):is_zero()},
          {t:round(hour):format(time.TIME_ONLY), t:truncate(hour):format(time.TIME_ONLY)},
          {time.date(2024, 13, 1, 0, 0, 0, 0, time.utc):year(),
            time.date(2024, 1, 1, 0, 0, -1, 0, time.utc):format(time.STAMP)},
          tostring(t), tostring(t:location()), type(t),
        }
    """
    assert await lua(source, modules=["time"]) == [
        [2024, 2, 29, 15, 4, 5, 123456789, 4, 60, 1709219045, 1709219045123456789],
        ["2024-03-01T15:04:05Z", 0, 16, 123456790],
        ["2025-03-01", "2023-12-30", "2023-12-31"],
        [1.0, -90.0, "1h30m0s"],
        [True, False, True, False, True],
        ["15:00:00", "15:00:00"],
        [2025, "Dec 31 23:59:59"],
        "2024-02-29 15:04:05.123456789 +0000 UTC",
        "UTC",
        "userdata",
    ]


async def test_zones(lua: Any) -> None:
    source = """
        local time = require('time')
        local ny = time.load_location('America/New_York')
        local ist = time.fixed_zone('IST', 5 * 3600 + 1800)
        local t = time.date(2024, 7, 4, 12, 0, 0, 0, ny)
        return {
          t:utc():hour(), t:format('15:04 MST -0700'), t:in_location(ist):format(time.RFC3339),
          t:in_location(ist):hour(),
          t:in_location(ist):minute(), ny:string(), tostring(ist), time.utc:string(), time.localtz:string(),
          time.load_location('UTC') == time.utc, time.load_location('Local') == time.localtz,
          time.date(2024, 1, 4, 23, 0, 0, 0, ny):utc():day(), t:in_location(ny):date(),
        }
    """
    assert await lua(source, modules=["time"]) == [
        16, "12:00 EDT -0400", "2024-07-04T21:30:00+05:30", 21, 30, "America/New_York", "IST", "UTC", "Local",
        True, True, 5, 2024, 7, 4,
    ]  # fmt: skip


async def test_parsing(lua: Any) -> None:
    source = """
        local time = require('time')
        local ny = time.load_location('America/New_York')
        local function show(...) return time.parse(...):utc():format(time.RFC3339NANO) end
        local named = time.parse('2006-01-02 15:04 MST', '2024-12-29 14:30 EST', ny)
        return {
          show(time.RFC3339, '2024-12-29T15:04:05.5+02:00'), show(time.DATE_ONLY, '2024-12-29', time.utc),
          show('2006-01-02 15:04', '2024-12-29 14:30', ny), named:utc():hour(), named:location() == ny,
          tostring(time.parse(time.RFC3339, '2024-12-29T15:04:05Z'):location()),
          time.parse(time.RFC3339, '2024-12-29T15:04:05+05:00'):format(time.RFC1123Z),
          time.parse('15:04:05', '14:30:00', time.utc):year(),
        }
    """
    assert await lua(source, modules=["time"]) == [
        "2024-12-29T13:04:05.5Z", "2024-12-29T00:00:00Z", "2024-12-29T19:30:00Z", 19, True, "UTC",
        "Sun, 29 Dec 2024 15:04:05 +0500", 0,
    ]  # fmt: skip


async def test_durations(lua: Any) -> None:
    source = """
        local time = require('time')
        local d = time.parse_duration('1h30m45s500ms')
        local n = time.parse_duration('-1.5ms')
        return {d:hours(), d:minutes(), d:seconds(), d:milliseconds(), d:microseconds(), d:nanoseconds(), tostring(d),
          n:milliseconds(), n:microseconds(), n:seconds(), tostring(n), time.parse_duration(time.SECOND):seconds(),
          time.parse_duration(d):hours(), time.parse_duration(1.9):nanoseconds(), type(d)}
    """
    seconds = 5445.5
    assert await lua(source, modules=["time"]) == [
        pytest.approx(seconds / 3600), pytest.approx(seconds / 60), seconds, 5445500, 5445500000, 5445500000000,
        "1h30m45.5s", -1, -1500, -0.0015, "-1.5ms", 1.0, pytest.approx(seconds / 3600), 1, "userdata",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            "parse('2006-01-02', 'x')",
            "Invalid",
            'time.parse: parsing time "x" as "2006-01-02": cannot parse "x" as "2006"',
        ),
        ("parse_duration('x')", "Invalid", 'time.parse_duration: time: invalid duration "x"'),
        ("parse_duration({})", "Invalid", "time.parse_duration: duration must be number or string"),
        ("load_location('No/Where')", "NotFound", "time.load_location: unknown time zone No/Where"),
        ("load_location('')", "Invalid", "empty location name"),
        ("sleep('x')", "Invalid", 'time.sleep: time: invalid duration "x"'),
        ("after(0)", "Invalid", "time.after: duration must be > 0"),
        ("timer('-1s')", "Invalid", "time.timer: duration must be > 0"),
        ("ticker(nil)", "Invalid", "time.ticker: duration must be number or string"),
        ("date(1e15, 1, 1, 0, 0, 0, 0)", None, "time is out of range"),
    ],
)
async def test_errors(lua: Any, call: str, kind: str | None, text: str) -> None:
    source = f"""
        local ok, v, e = pcall(function() return require('time').{call} end)
        if not ok then return {{'raised', tostring(v)}} end
        return {{v == nil, e:kind(), e:retryable(), tostring(e)}}
    """
    expected = ["raised", text] if kind is None else [True, kind, False, text]
    assert await lua(source, modules=["time"]) == expected


async def test_argument_errors(lua: Any) -> None:
    source = """
        local time = require('time')
        local t = time.now()
        local told = {}
        for _, f in ipairs({
          function() time.date(2024) end, function() time.date(1, 1, 1, 1, 1, 1, 1, 'UTC') end,
          function() time.unix(1) end, function() t:add({}) end, function() t:sub(5) end, function() t:round('1h') end,
          function() t:in_location('x') end, function() t.year(5) end, function() time.timer('1s'):reset('x') end,
          function() time.timer('1s'):reset(0) end,
        }) do told[#told + 1] = select(2, pcall(f)):gsub('^.-:%d+: ', '') end
        return told
    """
    assert await lua(source, modules=["time"]) == [
        "bad argument #2 to date (number expected, got nil)",
        "bad argument #8 to date (location expected)",
        "bad argument #2 to unix (number expected, got nil)",
        "bad argument #2 to add (duration must be number or string)",
        "bad argument #2 to sub (time expected)",
        "bad argument #2 to round (duration expected)",
        "bad argument #2 to in_location (location expected)",
        "bad argument #1 to year (time expected)",
        'timer:reset: time: invalid duration "x"',
        "timer:reset: duration must be > 0",
    ]


async def test_sleep_and_now(lua: Any, autojump_clock: Clock) -> None:
    source = """
        local time = require('time')
        local start = time.now()
        time.sleep('90s') time.sleep(5 * time.SECOND) time.sleep(time.parse_duration('1h')) time.sleep(-1)
        return time.now():sub(start):seconds()
    """
    assert await lua(source, modules=["time"]) == pytest.approx(3695)


async def test_after(lua: Any, autojump_clock: Clock) -> None:
    source = """
        local time = require('time')
        local start = time.now()
        local slow, fast = time.after('1h'), time.after('1m')
        local won = channel.select{slow:case_receive(), fast:case_receive()}
        local _, open = fast:receive()
        return {won.channel == fast, won.value:sub(start):minutes(), open, tostring(won.value:location())}
    """
    assert await lua(source, modules=["time"]) == [True, pytest.approx(1), False, "Local"]


async def test_timer(lua: Any, autojump_clock: Clock) -> None:
    source = """
        local time = require('time')
        local start = time.now()
        local t = time.timer('1m')
        local at, ok = t:response():receive()
        local stopped = time.timer('1h')
        local moved = time.timer('1h')
        local told = {at:sub(start):minutes(), ok, t:stop(), t:reset('1s'), select(2, t:channel():receive())}
        told[6], told[7], told[8] = stopped:stop(), stopped:stop(), select(2, stopped:channel():receive())
        told[9], told[10] = stopped:reset('1s'), moved:reset('1m')
        told[11] = moved:channel():receive():sub(start):minutes()
        return told
    """
    assert await lua(source, modules=["time"]) == [
        pytest.approx(1), True, False, False, False, True, False, False, False, True, pytest.approx(2),
    ]  # fmt: skip


async def test_ticker(lua: Any, autojump_clock: Clock) -> None:
    source = """
        local time = require('time')
        local start = time.now()
        local ticker = time.ticker('10s')
        local at = {}
        for i = 1, 3 do at[i] = ticker:channel():receive():sub(start):seconds() end
        time.sleep('1h') -- ticks nobody takes are dropped
        local first = ticker:response():receive():sub(start):seconds()
        local held = 0
        local stopped = ticker:stop()
        local _, open = ticker:response():receive()
        return {at[1], at[2], at[3], first, stopped, open ~= nil, ticker:stop()}
    """
    assert await lua(source, modules=["time"]) == [*map(pytest.approx, (10, 20, 30, 40)), True, True, True]


async def test_times_cross_actors_and_come_back(lua: Any) -> None:
    source = """
        local time = require('time')
        local ch = channel.new(1)
        local t = time.date(2024, 7, 4, 12, 0, 0, 5, time.load_location('Asia/Tokyo'))
        return {t, t:sub(t:add(-7)), t:location()}
    """
    time, duration, location = await lua(source, modules=["time"])
    assert (time.class_name, time.value) == ("time.Time", [1720062000, 5, "ZAsia/Tokyo"])
    assert (duration.class_name, duration.value) == ("time.Duration", 7)
    assert (location.class_name, location.value) == ("time.Location", "ZAsia/Tokyo")
    source = "local t, d, l = ... return {t:hour(), d:nanoseconds(), l:string(), pcall(function() t.x = 1 end)}"
    assert (await lua(source, modules=["time"], args=[time, duration, location]))[:4] == [12, 7, "Asia/Tokyo", False]
