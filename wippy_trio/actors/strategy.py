"""What a supervisor does when a child ends: strategies, restart kinds and restart intensity, without tasks or time.

What happened goes in, what to do comes out. Source: ours, after the supervisor of Erlang/OTP.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum

import attrs

from wippy_trio.core.errors import CanceledError, LuaError

__all__ = ["Ending", "Plan", "Restart", "Roster", "Strategy", "ending_of"]


class Strategy(StrEnum):
    """Whom the failure of one child concerns: itself, all, or itself and those started after it."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Restart(StrEnum):
    """Which endings a child is started again after: any, those of a failure, none."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Ending(StrEnum):
    """How a child ended: with a value, with an error that says `do not try again`, or with any other error."""

    NORMAL = "normal"
    FINAL = "final"
    FAILED = "failed"


def ending_of(error: LuaError | None) -> Ending:
    """The ending that an outcome stands for. An error is final as it is for a service: Canceled, or not retryable."""
    if error is None:
        return Ending.NORMAL
    if error.kind == CanceledError.kind or error.retryable is False:
        return Ending.FINAL
    return Ending.FAILED


@attrs.frozen(slots=True)
class Plan:
    """What is to be done: stop these in this order, forget these, start these in this order; or give up.

    A supervisor that gives up stops all its children and fails.
    """

    stop: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    gives_up: bool = False


class Roster:
    """The children of a supervisor in the order of their start, and the restarts of late.

    Args:
        strategy: whom a failure concerns.
        max_restarts: restarts within the window that are one too few to give up.
        window_s: length of the window.
    """

    def __init__(self, strategy: Strategy, max_restarts: int, window_s: float) -> None:
        self.strategy = strategy
        self.max_restarts = max_restarts
        self.window_s = window_s
        self._kinds: dict[str, Restart] = {}
        self._live: set[str] = set()
        self._restarts_s: deque[float] = deque()

    # who there is ----------------------------------------------------------------------------------------------
    def add(self, child: str, restart: Restart) -> None:
        """A child more, at the end of the order; it does not run yet."""
        assert child not in self._kinds, child
        self._kinds[child] = restart

    def remove(self, child: str) -> None:
        """A child less."""
        self._kinds.pop(child, None)
        self._live.discard(child)

    def started(self, child: str) -> None:
        """It runs."""
        self._live.add(child)

    def stopped(self, child: str) -> bool:
        """It was stopped on purpose; True when it is forgotten with that, for it was temporary."""
        self._live.discard(child)
        if self._kinds.get(child) is Restart.TEMPORARY:
            self.remove(child)
            return True
        return False

    def is_live(self, child: str) -> bool:
        return child in self._live

    def order(self) -> tuple[str, ...]:
        """All children, in the order of their start."""
        return tuple(self._kinds)

    # what to do ------------------------------------------------------------------------------------------------
    def ended(self, child: str, ending: Ending, now_s: float) -> Plan:
        """A child ended by itself, or could not be started again.

        Args:
            child: its id; unknown ones need nothing.
            ending: how; a failed start is `FAILED`.
            now_s: monotonic time.
        """
        kind = self._kinds.get(child)
        if kind is None:
            return Plan()
        self._live.discard(child)
        if kind is Restart.TEMPORARY:
            self.remove(child)
            return Plan(forget=(child,))
        if kind is Restart.TRANSIENT and ending is not Ending.FAILED:
            return Plan()
        if self._too_often(now_s):
            return Plan(gives_up=True)
        if self.strategy is Strategy.ONE_FOR_ONE:
            return Plan(start=(child,))
        return self._together(child)

    def _too_often(self, now_s: float) -> bool:
        times = self._restarts_s
        times.append(now_s)
        while times[0] < now_s - self.window_s:
            times.popleft()
        return len(times) > self.max_restarts

    def _together(self, child: str) -> Plan:
        concerned = self.order()
        if self.strategy is Strategy.REST_FOR_ONE:
            concerned = concerned[concerned.index(child) :]
        stop = tuple(item for item in reversed(concerned) if item in self._live)
        forget = tuple(item for item in concerned if self._kinds[item] is Restart.TEMPORARY)
        for item in concerned:
            self._live.discard(item)
        for item in forget:
            self.remove(item)
        return Plan(stop, forget, tuple(item for item in concerned if item not in forget))
