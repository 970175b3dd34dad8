"""Clocks that are not the machine's: one that follows trio's (virtual) time, one that a record sets.

Source: ours (architecture, section 2; decisions on time in `docs/internals/architecture.md`).
"""

from __future__ import annotations

import trio

__all__ = ["DEFAULT_EPOCH_NS", "HistoryClock", "VirtualClock"]

_NS_PER_S = 1_000_000_000
_LOOK_S = 0.000_02

#: 2026-01-01 00:00:00 UTC: where virtual time begins unless told otherwise.
DEFAULT_EPOCH_NS = 1_767_225_600 * _NS_PER_S


class VirtualClock:
    """Wall time that runs with trio's clock, from a stated beginning.

    Under `trio.testing.MockClock` (the `autojump_clock` fixture) both stand still until everything waits, then jump
    to the next deadline: a sleep of a week costs nothing and leaves the calendar a week later.

    Args:
        epoch_ns: wall time when the clock is first read, in Unix nanoseconds.
        zone: IANA name of the local time zone.

    Read outside trio (before a run, or in a worker thread) it gives its last reading.
    """

    def __init__(self, epoch_ns: int = DEFAULT_EPOCH_NS, zone: str = "UTC") -> None:
        self._epoch_ns = epoch_ns
        self._zone = zone
        self._looks = 0
        self._start_s: float | None = None
        self._last_s = 0.0

    def wall_ns(self) -> int:
        """Unix nanoseconds: the epoch, plus what has passed in trio, plus what `jump` added."""
        now_s = self.monotonic_s()
        if self._start_s is None:
            return self._epoch_ns
        return self._epoch_ns + round((now_s - self._start_s) * _NS_PER_S)

    def monotonic_s(self) -> float:
        """trio's own time, so that deadlines may be reckoned from it."""
        try:
            self._last_s = trio.current_time()
        except RuntimeError:  # outside trio
            return self._last_s
        if self._start_s is None:
            self._start_s = self._last_s
        return self._last_s

    def cpu_s(self) -> float:
        """Each look counts as 20 microseconds, about what a slice of budget checks costs."""
        self._looks += 1
        return self._looks * _LOOK_S

    def zone(self) -> str:
        """The zone given at birth."""
        return self._zone

    def jump(self, delta_ns: int) -> None:
        """Set the wall clock forward or (negative) back, as an administrator would; monotonic time is untouched."""
        self._epoch_ns += delta_ns


class HistoryClock:
    """A clock that shows what a record says: the driver of a replay sets it before each event.

    Args:
        start_ns: Unix nanoseconds of the first event.
        zone: IANA name of the local time zone.
    """

    def __init__(self, start_ns: int = 0, zone: str = "UTC") -> None:
        self._wall_ns = start_ns
        self._start_ns = start_ns
        self._highest_ns = start_ns
        self._zone = zone
        self._looks = 0

    def set(self, wall_ns: int) -> None:
        """Show `wall_ns` until the next call. It may lie before the last one: recorded clocks were set back too."""
        self._wall_ns = wall_ns
        self._highest_ns = max(self._highest_ns, wall_ns)

    def wall_ns(self) -> int:
        """What was set last."""
        return self._wall_ns

    def monotonic_s(self) -> float:
        """Seconds from the first event to the latest one seen: never goes back."""
        return (self._highest_ns - self._start_ns) / _NS_PER_S

    def cpu_s(self) -> float:
        """Each look counts as 20 microseconds, about what a slice of budget checks costs."""
        self._looks += 1
        return self._looks * _LOOK_S

    def zone(self) -> str:
        """The zone given at birth."""
        return self._zone
