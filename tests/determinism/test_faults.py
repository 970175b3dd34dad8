"""The catalogue of faults and the plans that decide when one strikes."""

from __future__ import annotations

import pytest

from determinism.entropy import SeededEntropy
from determinism.faults import FAULTS, FaultPlan, ListedFaults, parse_faults
from determinism.seams import Strike


def asked(plan: FaultPlan | ListedFaults, times: int = 400) -> list[tuple[str, str, int]]:
    for at in range(times):
        plan.strike("disk_io_error", f"/file/{at % 3}")
        plan.strike("sql_busy", "app:db")
    return [strike.key for strike in plan.struck]


def test_there_are_27_kinds_each_bounded() -> None:
    assert len(FAULTS) == 27
    assert all(fault.budget >= 1 and 0 < fault.probability < 1 and fault.bound_s >= 0 for fault in FAULTS.values())


def test_equal_seeds_strike_alike_and_other_seeds_do_not() -> None:
    first, again, other = (FaultPlan(SeededEntropy(seed), FAULTS) for seed in (1, 1, 2))
    assert asked(first) == asked(again) != asked(other)


def test_one_kind_does_not_shift_another() -> None:
    both, alone = FaultPlan(SeededEntropy(1), FAULTS), FaultPlan(SeededEntropy(1), ["sql_busy"])
    assert [key for key in asked(both) if key[0] == "sql_busy"] == asked(alone)


def test_a_budget_is_kept_and_a_certain_fault_strikes_at_once() -> None:
    plan = FaultPlan(SeededEntropy(1), FAULTS, probabilities={"sql_busy": 1}, budgets={"sql_busy": 3})
    assert [plan.strike("sql_busy", "db") is not None for _ in range(5)] == [True, True, True, False, False]


def test_whoever_is_exempt_is_never_struck() -> None:
    plan = FaultPlan(SeededEntropy(1), FAULTS, probabilities={"sql_busy": 1})
    plan.exempt = True
    assert plan.strike("sql_busy", "db") is None
    plan.exempt = False
    assert plan.strike("sql_busy", "db") is not None


def test_a_listed_fault_strikes_again_where_it_did_with_or_without_the_others() -> None:
    plan = FaultPlan(SeededEntropy(1), FAULTS, budgets={"disk_io_error": 3, "sql_busy": 3})
    asked(plan)
    assert len(plan.struck) == 6
    told: list[Strike] = []
    one = ListedFaults(plan.struck[3:4], told.append)
    asked(one)
    assert one.struck == plan.struck[3:4] == told


def test_an_effect_lasts_no_longer_than_its_bound() -> None:
    ends = [Strike("actor_hang", "p", 0, draw, 30).lasts_s for draw in (0, 0.5, 1)]
    assert ends == pytest.approx([0.3, 3, 30])


def test_kinds_are_chosen_by_name_area_and_exclusion() -> None:
    assert parse_faults("all") == {*FAULTS, "buggify"}
    assert parse_faults("none") == parse_faults("") == set()
    assert parse_faults("clock,sql_busy,-timer_jitter") == {"clock_skew", "clock_forward", "clock_back", "sql_busy"}
    assert parse_faults("-disk") == {"buggify", *(name for name, fault in FAULTS.items() if fault.area != "disk")}
    with pytest.raises(ValueError, match="unknown fault 'disc'; there are: all, none, actor"):
        parse_faults("disc")
