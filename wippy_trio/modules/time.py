"""The `time` module: the clock, zones and layouts, sleeping and timers. Source: docs lua/core/time.

Times live in Lua as (seconds, nanoseconds, zone); what needs calendars, zones or layouts is computed here. A zone
crosses as a short code: empty is UTC, `L` the local one, `Z` and a name an IANA zone, `F`, an offset, a colon and a
name a fixed one.
"""

from __future__ import annotations

import trio

from determinism.seams import NoFaults
from sandbox.values import Boxed
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.module import Call, Module, ModuleClass, WorkflowRule
from wippy_trio.text.goduration import format_duration, parse_duration
from wippy_trio.text.golayout import format_time
from wippy_trio.text.golayout_parse import parse_time
from wippy_trio.text.gotime import UTC, Duration, Location, Time, date, fixed_zone, load_location, local_location, unix

__all__ = ["MODULE", "boxed_time"]

MODULE = Module("time", classes={ModuleClass.TIME, ModuleClass.WORKFLOW}, prelude="time.lua")
_NS = 1_000_000_000
#: Longest wait trio can be asked for; a century is as good as forever.
_LONGEST_S = 3_155_760_000.0
#: A timer that fires late does so by no more than this.
_LATEST_S = 1.0


def boxed_time(unix_ns: int) -> Boxed:
    """A time of the local zone as Lua gets it from the host."""
    return Boxed("time.Time", [unix_ns // _NS, unix_ns % _NS, "L"])


def _location(call: Call, code: bytes) -> Location:
    if not code:
        return UTC
    rest = code[1:].decode("utf-8", "replace")
    if code[:1] == b"L":
        return local_location(call.environment.clock.zone())
    if code[:1] == b"Z":
        return load_location(rest)
    offset, _, name = rest.partition(":")
    return fixed_zone(name, int(offset))


def _code(location: Location, given: Location, given_code: bytes) -> bytes:
    if location is UTC:
        return b""
    if location == given:
        return given_code
    return f"F{location.offset_s}:{location.name}".encode()


def _parts(time: Time) -> tuple[int, int]:
    return time.unix_ns // _NS, time.unix_ns % _NS


def _in(context: str, error: LuaError) -> LuaError:
    error.context = (context, *error.context)
    return error


@MODULE.raw("time.now")
def now(call: Call) -> int:
    """Nanoseconds of Unix time; in a workflow, of its recorded time."""
    return call.environment.clock.wall_ns()


@MODULE.raw("time.zone")
def zone(call: Call, seconds: int, code: bytes) -> tuple[int, bytes]:
    """Offset in seconds and abbreviation of a zone at a Unix time."""
    found = _location(call, code).zone_at(seconds)
    return found.offset_s, found.name.encode()


@MODULE.raw("time.load")
def load(call: Call, name: bytes) -> bytes:
    """Check that an IANA zone exists."""
    try:
        return load_location(name.decode("utf-8", "replace")).name.encode()
    except LuaError as error:
        raise _in("time.load_location", error) from None


@MODULE.raw("time.date")
def make(call: Call, *given: int | bytes) -> tuple[int, int]:
    """Seconds and nanoseconds of a local date and clock: year to nanosecond, then the zone's code."""
    year, month, day, hour, minute, second, nanosecond = (int(part) for part in given[:7])
    _bounded(year, month // 12, day // 365, hour // 8760, minute // 525_600)
    code = given[7]
    assert isinstance(code, bytes)
    return _parts(date((year, month, day), (hour, minute, second, nanosecond), _location(call, code)))


def _bounded(*years: int) -> None:
    """Times are kept as 64-bit seconds, which hold some 292 thousand million years."""
    if any(abs(number) > 100_000_000_000 for number in years):
        raise InvalidError("time is out of range")


@MODULE.raw("time.add_date")
def add_date(call: Call, *given: int | bytes) -> tuple[int, int]:
    """Seconds and nanoseconds of a time (seconds, nanoseconds, zone) moved by years, months and days."""
    seconds, nanoseconds, code, years, months, days = given
    assert isinstance(code, bytes)
    _bounded(int(years), int(months) // 12, int(days) // 365)
    time = unix(int(seconds), int(nanoseconds), _location(call, code))
    return _parts(time.add_date(int(years), int(months), int(days)))


@MODULE.raw("time.round")
def round_to(call: Call, seconds: int, nanoseconds: int, unit_ns: int, nearest: bool) -> tuple[int, int]:
    """Seconds and nanoseconds rounded down, or to the nearest multiple of a unit."""
    time, unit = unix(seconds, nanoseconds), Duration(unit_ns)
    return _parts(time.round(unit) if nearest else time.truncate(unit))


@MODULE.raw("time.format")
def format(call: Call, seconds: int, nanoseconds: int, code: bytes, layout: bytes) -> bytes:
    """The text of a time."""
    time = unix(seconds, nanoseconds, _location(call, code))
    return format_time(time, layout.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


@MODULE.raw("time.text")
def text(call: Call, seconds: int, nanoseconds: int, code: bytes) -> bytes:
    """The text of a time for people."""
    return str(unix(seconds, nanoseconds, _location(call, code))).encode()


@MODULE.raw("time.parse")
def parse(call: Call, layout: bytes, value: bytes, code: bytes) -> tuple[int, int, bytes]:
    """Seconds, nanoseconds and zone of a text; one without a zone is in the given one."""
    location = _location(call, code)
    try:
        time = parse_time(
            layout.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"), location
        )
    except LuaError as error:
        raise _in("time.parse", error) from None
    return (*_parts(time), _code(time.location, location, code))


@MODULE.raw("time.parse_duration")
def read_duration(call: Call, value: bytes) -> int:
    """Nanoseconds of a duration's text."""
    return parse_duration(value.decode("utf-8", "surrogateescape"))


@MODULE.raw("time.duration_text")
def duration_text(call: Call, ns: int) -> bytes:
    """The text of a duration."""
    return format_duration(ns).encode()


def _seconds(ns: int) -> float:
    return min(max(ns / _NS, 0.0), _LONGEST_S)


def _late_s(call: Call) -> float:
    """How much later than asked for a timer fires: not at all, unless this is a simulation with `timer_jitter`."""
    faults = call.environment.faults
    if isinstance(faults, NoFaults):
        return 0.0
    strike = faults.strike("timer_jitter", str(call.frame.entry))
    return 0.0 if strike is None else min(strike.lasts_s, _LATEST_S)


def _wait_s(call: Call, ns: int) -> float:
    return _seconds(ns) + _late_s(call) if ns > 0 else 0.0


async def _wait(wait_s: float) -> None:
    if wait_s <= 0:
        await trio.lowlevel.checkpoint()
        return
    due_s = trio.current_time() + wait_s  # the name under which actors/timers.py finds it
    await trio.sleep_until(due_s)


@MODULE.waiting("time.sleep", workflow=WorkflowRule.RECORDED)
async def sleep(call: Call, ns: int) -> None:
    """Wait; not at all for zero and less, but others get their turn."""
    await _wait(_wait_s(call, ns))


@MODULE.waiting("time.after", workflow=WorkflowRule.RECORDED)
async def after(call: Call, ns: int) -> Boxed:
    """The time, once it has come."""
    await _wait(_wait_s(call, ns))
    return boxed_time(call.environment.clock.wall_ns())


@MODULE.waiting("time.fire", workflow=WorkflowRule.RECORDED)
async def fire(call: Call, source: int, ns: int) -> bool:
    """Feed the time into a channel once, and close it."""
    await _wait(_wait_s(call, ns))
    call.feed_now(source, boxed_time(call.environment.clock.wall_ns()))
    call.close_feed(source)
    return True


@MODULE.waiting("time.tick", workflow=WorkflowRule.RECORDED)
async def tick(call: Call, source: int, ns: int) -> None:
    """Feed the time into a channel at every interval. A tick nobody has room for is dropped."""
    interval_s = _seconds(ns)
    due_s = trio.current_time() + interval_s
    while True:
        await trio.sleep_until(due_s + _late_s(call))
        call.feed_now(source, boxed_time(call.environment.clock.wall_ns()))
        late_s = max(trio.current_time() - due_s, 0.0)
        due_s += interval_s * (1 + late_s // interval_s)
