"""Shrinking against lives that are made up."""

from __future__ import annotations

from collections.abc import Mapping

from determinism.seams import Strike
from determinism.shrink import shrink

WHOLE = {step: f"app:a|{step % 3}" for step in range(20)}


def never() -> bool:
    return False


def test_a_fault_is_moved_where_switches_only_made_its_number_fit() -> None:
    def attempt(strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> Mapping[int, str] | None:
        numbers = [strike.number for strike in strikes]
        fails = (numbers == [9] and len(schedule) >= 15) or (numbers == [4] and not schedule)
        return schedule if fails else None

    found = shrink(attempt, [Strike("actor_hang", "app:a", 9, 0.5)], WHOLE, never)
    assert found is not None
    assert [strike.number for strike in found.strikes] == [4]
    assert found.schedule == {}


def test_one_switch_to_what_an_actor_waits_for_may_do() -> None:
    whole = {**WHOLE, 19: "app:a|1 time.sleep"}

    def attempt(strikes: tuple[Strike, ...], schedule: Mapping[int, str]) -> Mapping[int, str] | None:
        del strikes
        fails = len(schedule) == len(whole) or dict(schedule) == {7: "app:a|1 time.sleep"}
        return schedule if fails else None

    found = shrink(attempt, [], whole, never)
    assert found is not None
    assert found.schedule == {7: "app:a|1 time.sleep"}


def test_what_does_not_fail_again_is_not_shrunk() -> None:
    assert shrink(lambda strikes, schedule: None, [], WHOLE, never) is None
