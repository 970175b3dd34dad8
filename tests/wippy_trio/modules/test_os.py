from __future__ import annotations

from typing import Any

import trio.testing


async def test_date_texts(lua: Any) -> None:
    source = """
        local at = 1718461845 -- Saturday 2024-06-15 14:30:45 UTC
        local told = {}
        for letter in ('YymdHIMSpAaBbwjUWzZcxX%Q'):gmatch('.') do told[#told + 1] = os.date('!%' .. letter, at) end
        told[#told + 1] = os.date('!a%%Yb%', at)
        return told
    """
    assert await lua(source) == [
        "2024", "24", "06", "15", "14", "02", "30", "45", "PM", "Saturday", "Sat", "June", "Jun", "6", "167", "24",
        "24", "+0000", "UTC", "Sat Jun 15 14:30:45 2024", "06/15/24", "14:30:45", "%", "%Q", "a%Yb%",
    ]  # fmt: skip


async def test_tables_and_defaults(lua: Any) -> None:
    source = """
        local t = os.date('!*t', 1718461845)
        local today = os.date('*t')
        return {
          t.year, t.month, t.day, t.hour, t.min, t.sec, t.wday, t.yday, t.isdst,
          os.time({year = 2024, month = 6, day = 15}), os.time({year = 2024, month = 14, day = 1, hour = -1}),
          os.time({}) == os.time({year = today.year, month = today.month, day = today.day}),
          os.difftime(5, '2'), os.platform, os.date('!%c', 0), os.date() == os.date('%c', os.time()),
          os.date('!%S', 59.9),
        }
    """
    assert await lua(source) == [
        2024, 6, 15, 14, 30, 45, 7, 167, False, 1718409600, 1738364400, True, 3, "wippy",
        "Thu Jan  1 00:00:00 1970", True, "59",
    ]  # fmt: skip


async def test_clock_moves_with_time(lua: Any, autojump_clock: trio.testing.MockClock) -> None:
    source = """
        local time = require('time')
        local c, t = os.clock(), os.time()
        time.sleep('90s')
        return {os.clock() - c, os.time() - t}
    """
    assert await lua(source, modules=["time"]) == [90, 90]


async def test_argument_errors(lua: Any) -> None:
    source = """
        local told = {}
        for _, f in ipairs({function() os.time(5) end, function() os.date({}) end, function() os.difftime(1) end}) do
          told[#told + 1] = select(2, pcall(f))
        end
        return told
    """
    told = await lua(source)
    assert [text.partition("bad argument ")[2] for text in told] == [
        "#1 to time (table expected, got number)",
        "#1 to date (string expected, got table)",
        "#2 to difftime (number expected, got nil)",
    ]
