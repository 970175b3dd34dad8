"""Random trees of processes that spawn, link, monitor, send, name, cancel and kill: what must hold always holds.

`make soak` runs many more of these programs.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wippy_trio.actors import puppets
from tests.wippy_trio.actors.campaigns import (
    Order,
    burst_of,
    end_all,
    keeps_the_rules,
    obeys_the_model,
    programs,
    random_program,
    run,
)

BOUNDED = settings(
    max_examples=80, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
#: Seeds of long programs; `make soak` names those that fail, and they are kept here.
SEEDS = (1, 2, 3, 4)


@BOUNDED
@given(programs(30), st.booleans())
def test_one_order_at_a_time_the_model_is_right(program: list[Order], stop: bool) -> None:
    run(lambda: obeys_the_model(program, stop=stop))


@BOUNDED
@given(programs(80), st.booleans())
def test_all_at_once_the_rules_hold(program: list[Order], stop: bool) -> None:
    run(lambda: keeps_the_rules(program, stop=stop))


@pytest.mark.parametrize("seed", SEEDS)
def test_long_programs(seed: int) -> None:
    program = random_program(seed, 200)
    run(lambda: obeys_the_model(program, stop=False))
    run(lambda: keeps_the_rules(program, stop=True))


def test_no_memory_is_left_in_lua() -> None:
    """The same lives again and again leave a VM as it was."""

    async def main() -> list[int]:
        sizes = []
        async with puppets.stage() as driver:
            [one, _] = puppets.shards_of(driver.app)
            for round_ in range(5):
                await burst_of(driver, random_program(5, 120), 3)
                end_all(driver)
                await puppets.settle()
                driver.pids.clear()
                driver.names.clear()
                if round_ > 1:
                    sizes.append(puppets.lua_bytes(one))
        return sizes

    sizes = run(main)
    assert max(sizes) - min(sizes) < 4_096, sizes
