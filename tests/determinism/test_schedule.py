import gc
import subprocess
import sys

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.schedule import run_seeded, seeded_schedule

TASKS = 60
STEPS = 5


async def order() -> list[int]:
    """The order in which many tasks got their turns."""
    turns: list[int] = []

    async def task(number: int) -> None:
        for step in range(STEPS):
            turns.append(number)
            await trio.sleep(step % 2)

    async with trio.open_nursery() as nursery:
        for number in range(TASKS):
            nursery.start_soon(task, number)
    return turns


def test_one_seed_gives_one_order() -> None:
    assert run_seeded(order, seed=3) == run_seeded(order, seed=3)


def test_ten_seeds_give_ten_orders() -> None:
    assert len({tuple(run_seeded(order, seed=seed)) for seed in range(10)}) == 10


@pytest.mark.slow
def test_the_order_is_the_same_in_another_process() -> None:
    code = "from tests.determinism.test_schedule import *; print(run_seeded(order, seed=5))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == f"{run_seeded(order, seed=5)}\n"


def test_time_and_draws_belong_to_the_seed_too() -> None:
    async def story(seed: int) -> list[object]:
        environment = seeded_environment(seed)
        told: list[object] = []

        async def teller() -> None:
            await trio.sleep(environment.entropy.random())
            told.append((environment.clock.wall_ns(), environment.ids.uuid()))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(teller)
        return told

    assert run_seeded(story, 1, seed=1) == run_seeded(story, 1, seed=1)
    assert run_seeded(story, 1, seed=1) != run_seeded(story, 2, seed=1)


def test_the_switch_is_put_back() -> None:
    from trio._core import _run

    before = _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING, gc.isenabled()
    with pytest.raises(ZeroDivisionError), seeded_schedule(1):
        raise ZeroDivisionError
    assert (_run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING, gc.isenabled()) == before


async def test_it_cannot_be_switched_within_a_run() -> None:
    with pytest.raises(RuntimeError, match="must surround"), seeded_schedule(1):
        pass


def test_a_trio_without_the_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from trio._core import _run

    monkeypatch.delattr(_run, "_r")
    with pytest.raises(RuntimeError, match="no switch"), seeded_schedule(1):
        pass
