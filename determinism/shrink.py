"""The least that still fails: fewer faults, then fewer switches of the schedule.

A schedule is kept in words (`strategies.Scheduled`): the same actor goes on unless a step names another. By absolute
positions it would not shrink, since every choice shifts those after it. Source: ours (design note on determinism).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import TypeVar

from determinism.seams import Strike

T = TypeVar("T")

__all__ = ["Shrunk", "shrink"]

#: Switches of which pairs are tried.
_PAIRS_COUNT = 12
#: Steps at which a single switch is tried, and how many tries that may take.
_SINGLE_STEPS = 100
_SINGLE_TRIES = 400
#: Faults that are tried elsewhere, how often, and with how many switches that is not worth it.
_MOVED_COUNT = 3
_MOVES_COUNT = 80
_FEW_COUNT = 4

#: Runs a life with exactly these faults and switches; the switches that were made where it fails alike, else None.
Attempt = Callable[[tuple[Strike, ...], Mapping[int, str]], Mapping[int, str] | None]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left.

    Attributes:
        strikes, schedule: these fail as the whole did.
        runs: lives tried.
        done: nothing more could be taken away; False where time ran out.
    """

    strikes: tuple[Strike, ...]
    schedule: Mapping[int, str]
    runs: int
    done: bool


class _Search:
    def __init__(self, attempt: Attempt, strikes: Sequence[Strike], out_of_time: Callable[[], bool]) -> None:
        self._attempt = attempt
        self._out_of_time = out_of_time
        self.runs = 0
        self.strikes = tuple(strikes)
        self.schedule: Mapping[int, str] = {}

    def over(self) -> bool:
        return self._out_of_time()

    def fails(self, strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> bool:
        """Try; what fails alike becomes the best so far."""
        self.runs += 1
        made = self._attempt(strikes, schedule)
        if made is None:
            return False
        if len(made) > len(schedule):  # another life than was asked for: no step forward
            made = schedule
        self.strikes, self.schedule = strikes, made
        return True

    def drop_faults(self) -> None:
        for strike in self.strikes:
            if self.over():
                return
            self.fails(tuple(item for item in self.strikes if item is not strike), self.schedule)

    def move_faults(self) -> None:
        """A fault another time that its place is passed, with no switch at all: many only make the number fit."""
        if len(self.schedule) <= _FEW_COUNT or len(self.strikes) > _MOVED_COUNT:
            return
        for number, at in product(range(_MOVES_COUNT), range(len(self.strikes))):
            moved = (*self.strikes[:at], replace(self.strikes[at], number=number), *self.strikes[at + 1 :])
            if self.over() or self.fails(moved, {}):
                return

    def cut_tail(self) -> None:
        """Halve the schedule from its end for as long as it fails."""
        while self.schedule and not self.over():
            steps = sorted(self.schedule)
            kept = {step: self.schedule[step] for step in steps[: len(steps) // 2]}
            if not self.fails(self.strikes, kept):
                return

    def drop_switches(self) -> None:
        size = max(1, len(self.schedule) // 2)
        while size and not self.over():
            at = 0
            while at < len(self.schedule) and not self.over():
                steps = sorted(self.schedule)
                gone = set(steps[at : at + size])
                kept = {step: self.schedule[step] for step in steps if step not in gone}
                if not self.fails(self.strikes, kept):
                    at += size
            size //= 2

    def drop_pairs(self) -> None:
        """Switches of which neither can go alone: there and back again. Only where few are left."""
        again = len(self.schedule) <= _PAIRS_COUNT
        while again and not self.over():
            again = False
            for pair in combinations(sorted(self.schedule), 2):
                kept = {step: name for step, name in self.schedule.items() if step not in pair}
                if self.over() or self.fails(self.strikes, kept):
                    again = not self.over()
                    break

    def find_single(self) -> None:
        """One switch that does it alone, anywhere: removing finds none where the rest depends on what is removed."""
        if len(self.schedule) <= 2:
            return
        steps = range(min(max(self.schedule) + 1, _SINGLE_STEPS))
        named = [name for name in self.schedule.values() if "|" in name]
        choices = sorted({*named, *(name.partition(" ")[0] for name in named)})  # what an actor waits for, and itself
        for step, name in list(product(steps, choices))[:_SINGLE_TRIES]:
            if self.over() or self.fails(self.strikes, {step: name}):
                return


def shrink(
    attempt: Attempt, strikes: Sequence[Strike], schedule: Mapping[int, str], out_of_time: Callable[[], bool]
) -> Shrunk | None:
    """Shrink a failure.

    Args:
        attempt: runs a life.
        strikes: faults that struck.
        schedule: whom the strategy chose, at each choice, or the switches that were made.
        out_of_time: whether to stop with what there is.

    Returns:
        None where the failure does not come again with the same faults and choices.
    """
    search = _Search(attempt, strikes, out_of_time)
    if not search.fails(search.strikes, {}) and not search.fails(search.strikes, schedule):
        return None
    for _ in range(4):
        before = len(search.strikes), len(search.schedule)
        search.drop_faults()
        search.move_faults()
        search.cut_tail()
        search.drop_switches()
        search.drop_pairs()
        search.find_single()
        if (len(search.strikes), len(search.schedule)) == before:
            break
    return Shrunk(search.strikes, search.schedule, search.runs, not search.over())
