"""Clocks that are not the machine's: one that follows trio's (virtual) time, one that a record sets.

Source: ours (architecture, section 2; decisions on time in `docs/internals/architecture.md`).
"""

from __future__ import annotations

import trio

from determinism.faults import exempt
from determinism.seams import Faults

__all__ = ["DEFAULT_EPOCH_NS", "HistoryClock", "SimulatedClock", "VirtualClock"]

_NS_PER_S = 1_000_000_000
_LOOK_S = 0.000_02
_MOST_FORWARD_NS = 24 * 3600 * _NS_PER_S
_MOST_BACK_NS = 3600 * _NS_PER_S
_MOST_SKEW_NS = 300 * _NS_PER_S
_SKEW_RATE = 0.05

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


class SimulatedClock(VirtualClock):
    """A virtual clock whose wall time is not to be trusted: at each look it may jump, or begin to run wrong.

    Asked for at the place `wall`: `clock_forward` (a jump of up to a day), `clock_back` (of up to an hour) and
    `clock_skew` (it runs 5% fast or slow from now on, until it is up to 5 minutes off). Monotonic time, and all that
    waits, is untouched. Who is exempt from faults (a scenario, an invariant) is shown the right time.

    Args:
        faults: asked at each look.
        epoch_ns: wall time when the clock is first read, in Unix nanoseconds.
        zone: IANA name of the local time zone.
    """

    def __init__(self, faults: Faults, epoch_ns: int = DEFAULT_EPOCH_NS, zone: str = "UTC") -> None:
        super().__init__(epoch_ns, zone)
        self._faults = faults
        self._jumped_ns = 0
        self._skews: list[tuple[float, int]] = []  # since when, and how far off at the end

    def wall_ns(self) -> int:
        """Unix nanoseconds, with all jumps up to now and what skews have added."""
        right_ns = super().wall_ns()
        if exempt.get():
            return right_ns
        strike = self._faults.strike("clock_forward", "wall")
        if strike is not None:
            self._jumped_ns += 1 + int(strike.draw * _MOST_FORWARD_NS)
        strike = self._faults.strike("clock_back", "wall")
        if strike is not None:
            self._jumped_ns -= 1 + int(strike.draw * _MOST_BACK_NS)
        strike = self._faults.strike("clock_skew", "wall")
        if strike is not None:
            self._skews.append((self.monotonic_s(), int((2 * strike.draw - 1) * _MOST_SKEW_NS)))
        return right_ns + self._jumped_ns + (self._skew_ns() if self._skews else 0)

    def _skew_ns(self) -> int:
        off_ns = 0
        for since_s, most_ns in self._skews:
            drift_ns = int((self.monotonic_s() - since_s) * _SKEW_RATE * _NS_PER_S)
            off_ns += max(most_ns, -drift_ns) if most_ns < 0 else min(most_ns, drift_ns)
        return off_ns


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
