import pytest
import trio
from trio.testing import MockClock

from determinism.clock import DEFAULT_EPOCH_NS, HistoryClock, SimulatedClock, VirtualClock
from determinism.faults import ListedFaults, exempt
from determinism.seams import Clock, NoFaults, Strike

NS = 1_000_000_000


def test_they_are_the_seam() -> None:
    assert isinstance(VirtualClock(), Clock)
    assert isinstance(SimulatedClock(NoFaults()), Clock)
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


def _struck(kind: str, *, number: int = 0, draw: float = 0.5) -> SimulatedClock:
    return SimulatedClock(ListedFaults([Strike(kind, "wall", number, draw)]))


async def test_simulated_clock_without_faults_is_the_virtual_one(autojump_clock: MockClock) -> None:
    clock, plain = SimulatedClock(NoFaults()), VirtualClock()
    assert clock.wall_ns() == plain.wall_ns()
    await trio.sleep(3)
    assert clock.wall_ns() == plain.wall_ns()


async def test_wall_clock_jumps_and_monotonic_time_does_not(autojump_clock: MockClock) -> None:
    for kind, off_s in (("clock_forward", 12 * 3600), ("clock_back", -1800)):
        clock = _struck(kind, number=1)
        before_ns, before_s = clock.wall_ns(), clock.monotonic_s()
        assert round((clock.wall_ns() - before_ns) / 1e9) == off_s
        assert round((clock.wall_ns() - before_ns) / 1e9) == off_s  # once
        assert clock.monotonic_s() == before_s


async def test_skewed_clock_runs_wrong_until_it_is_as_far_off_as_it_may(autojump_clock: MockClock) -> None:
    for draw, most_s in ((0.9, 240), (0.1, -240)):
        clock = _struck("clock_skew", draw=draw)
        begun_ns = clock.wall_ns()
        await trio.sleep(100)
        assert clock.wall_ns() - begun_ns == pytest.approx((100 + most_s / 240 * 5) * 1e9)
        await trio.sleep(80_000)
        assert clock.wall_ns() - begun_ns == pytest.approx((80_100 + most_s) * 1e9)


async def test_who_is_exempt_sees_the_right_time(autojump_clock: MockClock) -> None:
    clock, plain = _struck("clock_forward"), VirtualClock()
    right_ns = plain.wall_ns()
    token = exempt.set(True)
    assert clock.wall_ns() == right_ns  # and does not make it jump
    exempt.reset(token)
    assert clock.wall_ns() - right_ns == pytest.approx(12 * 3600 * NS)
    token = exempt.set(True)
    assert clock.wall_ns() == right_ns
    exempt.reset(token)
