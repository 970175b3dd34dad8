import pytest
import trio
from trio.testing import MockClock

from determinism.clock import DEFAULT_EPOCH_NS, HistoryClock, VirtualClock
from determinism.seams import Clock

NS = 1_000_000_000


def test_they_are_the_seam() -> None:
    assert isinstance(VirtualClock(), Clock)
    assert isinstance(HistoryClock(), Clock)


async def test_virtual_time_moves_with_trio(autojump_clock: MockClock) -> None:
    clock = VirtualClock(epoch_ns=5 * NS)
    assert clock.wall_ns() == 5 * NS
    await trio.sleep(7 * 24 * 3600)
    assert clock.wall_ns() == (5 + 7 * 24 * 3600) * NS


async def test_virtual_monotonic_time_is_trios(autojump_clock: MockClock) -> None:
    clock = VirtualClock()
    with trio.CancelScope(deadline=clock.monotonic_s() + 3) as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    assert clock.monotonic_s() == trio.current_time()


async def test_jump_moves_the_wall_only(autojump_clock: MockClock) -> None:
    clock = VirtualClock(epoch_ns=0)
    before = clock.monotonic_s()
    clock.jump(-3 * NS)
    assert clock.wall_ns() == -3 * NS
    assert clock.monotonic_s() == before


def test_virtual_clock_outside_a_run_shows_its_last_reading() -> None:
    clock = VirtualClock()
    assert clock.wall_ns() == DEFAULT_EPOCH_NS
    assert clock.monotonic_s() == 0

    async def wait() -> int:
        clock.wall_ns()
        await trio.sleep(2)
        return clock.wall_ns()

    inside = trio.run(wait, clock=MockClock(autojump_threshold=0))
    assert clock.wall_ns() == inside == DEFAULT_EPOCH_NS + 2 * NS


def test_default_epoch_is_the_first_of_january_2026() -> None:
    assert DEFAULT_EPOCH_NS == 1_767_225_600 * NS


@pytest.mark.parametrize("clock", [VirtualClock(zone="Europe/Rome"), HistoryClock(zone="Europe/Rome")])
def test_zone_is_the_one_given(clock: Clock) -> None:
    assert clock.zone() == "Europe/Rome"


def test_history_shows_what_was_set() -> None:
    clock = HistoryClock(10 * NS)
    assert clock.wall_ns() == 10 * NS
    clock.set(12 * NS)
    assert clock.wall_ns() == 12 * NS
    assert clock.monotonic_s() == 2


def test_history_wall_time_may_go_back_but_monotonic_never() -> None:
    clock = HistoryClock(10 * NS)
    clock.set(14 * NS)
    clock.set(11 * NS)
    assert clock.wall_ns() == 11 * NS
    assert clock.monotonic_s() == 4


@pytest.mark.parametrize("make", [VirtualClock, HistoryClock])
def test_processor_time_grows_with_looks_and_not_with_the_machine(make: type[VirtualClock | HistoryClock]) -> None:
    one, two = make(), make()
    looks = [one.cpu_s() for _ in range(3)]
    assert looks == [two.cpu_s() for _ in range(3)]
    assert looks == sorted(set(looks))
