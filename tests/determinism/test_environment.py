import trio
from trio.testing import MockClock

from determinism.environment import seeded_environment
from determinism.memory import MemoryNetwork
from determinism.seams import Environment
from determinism.system import SystemThreads


async def _story(environment: Environment) -> list[object]:
    """A little of everything an environment gives."""
    told: list[object] = [environment.clock.wall_ns(), environment.clock.zone()]
    await trio.sleep(60)
    told += [environment.clock.wall_ns(), environment.entropy.random(), environment.entropy.fork("x").below(100)]
    told += [environment.ids.unique(), environment.ids.uuid(), await environment.threads.run(abs, -3)]
    listener = await environment.network.listen("localhost", 0)
    return [*told, listener.address]


def _run(seed: int) -> list[object]:
    return trio.run(_story, seeded_environment(seed), clock=MockClock(autojump_threshold=0))


def test_one_seed_tells_one_story() -> None:
    assert _run(4) == _run(4)


def test_two_seeds_tell_two() -> None:
    assert _run(4) != _run(5)


def test_identifiers_do_not_shift_the_randomness() -> None:
    one, two = seeded_environment(1), seeded_environment(1)
    two.ids.uuid()
    assert one.entropy.random() == two.entropy.random()


def test_parts_can_be_given() -> None:
    network, threads = MemoryNetwork(), SystemThreads()
    environment = seeded_environment(network=network, threads=threads)
    assert environment.network is network
    assert environment.threads is threads
