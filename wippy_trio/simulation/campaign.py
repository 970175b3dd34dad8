"""Many lives of an app: seeds, jobs, the failures they found, and what was covered. See docs/guides/simulation.md.

Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from weakref import WeakKeyDictionary

import attrs

from determinism.explore import Coverage, Deviations, Order, explore
from determinism.faults import BUGGIFY, FAULTS
from determinism.jobs import each_in_processes, enter_folder
from determinism.simulate import Bounds
from determinism.system import SystemClock
from wippy_trio.simulation.loading import load_simulated_app
from wippy_trio.simulation.scenarios import BOOT
from wippy_trio.simulation.shrinking import shrink_life
from wippy_trio.simulation.world import Failure, Life, LifeSpec, SimulatedApp, live

__all__ = ["Campaign", "Finding", "Progress", "Report", "app_of", "profile_of", "run_campaign", "spec_of"]

#: Seeds of a scenario in one piece of work.
BATCH_COUNT = 20
#: Failures of one scenario that are told apart, and those of them that are shrunk.
_KEPT_COUNT = 5
_SHRUNK_COUNT = 2
DEFAULT_SEEDS = 300


@attrs.frozen(slots=True)
class Campaign:
    """What to run.

    Attributes:
        path: the app's folder.
        scenario: id or part of ids; all scenarios without it.
        seeds: which seeds each scenario gets.
        strategy: name of a strategy.
        kinds: kinds of faults.
        jobs: processes at once; 1 stays in this one.
        time_limit_s: of the machine's time, for all lives (shrinking comes after).
        check: live each life twice and compare.
        stop_at_first: a scenario that failed gets no more seeds.
        shrink: shrink what was found.
        overrides, settings: as `-o` and `--set`.
    """

    path: str = "."
    scenario: str = ""
    seeds: Sequence[int] = range(DEFAULT_SEEDS)
    strategy: str = "swarm"
    kinds: frozenset[str] = frozenset((*FAULTS, BUGGIFY.name))
    jobs: int = 1
    time_limit_s: float = 60.0
    check: bool = False
    stop_at_first: bool = False
    shrink: bool = True
    overrides: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


@attrs.frozen(slots=True)
class Finding:
    """A failure, and the least that still fails that way (None where it was not shrunk)."""

    life: Life
    failure: Failure
    shrunk: Life | None = None

    @property
    def scenario(self) -> str:
        return self.life.spec.scenario

    @property
    def seed(self) -> int:
        return self.life.spec.seed


@attrs.define(slots=True)
class Report:
    """What a campaign came to."""

    seeds: int = 0
    scenarios: tuple[str, ...] = ()
    findings: list[Finding] = attrs.field(factory=list)
    #: How many lives failed, by scenario (several may fail alike).
    failed: dict[str, int] = attrs.field(factory=dict)
    hashes: dict[str, str] = attrs.field(factory=dict)
    inconclusive: list[tuple[str, int, str]] = attrs.field(factory=list)
    virtual_s: float = 0.0
    steps: int = 0
    pairs: set[tuple[str, str]] = attrs.field(factory=set)
    elapsed_s: float = 0.0
    cut_off: bool = False
    #: What explorations covered, by scenario.
    coverage: dict[str, Coverage] = attrs.field(factory=dict)
    #: The number of the last life, by scenario.
    numbers: dict[str, int] = attrs.field(factory=dict)

    @property
    def distinct(self) -> int:
        """Different lives, by their traces."""
        return len(set(self.hashes.values()))


@attrs.frozen(slots=True)
class Progress:
    """A look at a campaign that runs."""

    lives: int
    total: int
    elapsed_s: float
    report: Report


@lru_cache(maxsize=4)
def app_of(path: str, scenario: str, overrides: tuple[str, ...], settings: tuple[str, ...]) -> SimulatedApp:
    """The app of a campaign, loaded once a process."""
    return load_simulated_app(path, scenario=scenario, overrides=overrides, settings=settings)


#: Of the life that nothing disturbs. Steps end it, and no time: a slow machine must not make other lives of a seed.
_PROFILE = Bounds(steps=100_000, real_s=600.0)
_Profile = tuple[int, Mapping[tuple[str, str], int]]
_profiles: WeakKeyDictionary[SimulatedApp, dict[str, _Profile]] = WeakKeyDictionary()


def profile_of(app: SimulatedApp, scenario: str) -> _Profile:
    """Of the life that nothing disturbs: how many choices it has, and how often each kind of fault is asked for.

    It is the same for every seed, so that a seed means the same life in every campaign.
    """
    known = _profiles.setdefault(app, {})  # by the app itself: an id may be another one's later
    if scenario not in known:
        calm = live(app, LifeSpec(scenario, 0, "fifo", bounds=_PROFILE))
        known[scenario] = max(calm.choices, 10), calm.asked
    return known[scenario]


def spec_of(app: SimulatedApp, campaign: Campaign, scenario: str, seed: int) -> LifeSpec:
    """The life of one seed in a campaign."""
    length, asked = profile_of(app, scenario)
    bounds = Bounds(real_s=campaign.time_limit_s)
    return LifeSpec(scenario, seed, campaign.strategy, campaign.kinds, length=length, asked=asked, bounds=bounds)


def _batch(campaign: Campaign, scenario: str, seeds: Sequence[int]) -> list[Life]:
    enter_folder(campaign.path)  # relative paths in entries mean the app's folder
    app = app_of(campaign.path, campaign.scenario, campaign.overrides, campaign.settings)
    lives = []
    for seed in seeds:
        spec = spec_of(app, campaign, scenario, seed)
        life = live(app, spec)
        if campaign.check and life.failure is None:
            again = live(app, spec)
            if again.trace_hash != life.trace_hash:
                life.failure = Failure("nondeterminism", "two lives of one seed differ: see check-determinism")
        lives.append(life)
    return lives


def _piece(piece: tuple[Campaign, str, Sequence[int]]) -> list[Life]:
    return _batch(*piece)


def _silent(progress: Progress) -> None:
    """Nobody is told."""


def run_campaign(campaign: Campaign, tell: Callable[[Progress], None] = _silent) -> Report:
    """Run all lives, or as many as the time limit allows; then shrink what failed.

    Raises:
        ConfigError: the app cannot be loaded.
    """
    clock = SystemClock()
    began_s = clock.monotonic_s()
    app = app_of(campaign.path, campaign.scenario, campaign.overrides, campaign.settings)
    scenarios = tuple(str(scenario.id) for scenario in app.scenarios) or (BOOT,)
    report = Report(scenarios=scenarios)
    total = len(scenarios) * len(campaign.seeds)
    distinct: dict[tuple[str, str, str], Life] = {}

    def out_of_time() -> bool:
        return clock.monotonic_s() - began_s > campaign.time_limit_s

    def take(lives: Sequence[Life]) -> None:
        for life in lives:
            number = report.numbers[life.spec.scenario] = report.numbers.get(life.spec.scenario, -1) + 1
            _count(report, life, number if campaign.strategy == "dfs" else life.spec.seed)
            if life.failure is not None:
                report.failed[life.spec.scenario] = report.failed.get(life.spec.scenario, 0) + 1
                key = life.spec.scenario, *life.failure.same_as
                if key not in distinct or life.spec.seed < distinct[key].spec.seed:
                    distinct[key] = life
        report.elapsed_s = clock.monotonic_s() - began_s
        tell(Progress(len(report.hashes), total, report.elapsed_s, report))

    def wanted(scenario: str) -> bool:
        return not (campaign.stop_at_first and scenario in report.failed)

    batches = _batches(campaign, scenarios, wanted)
    if campaign.strategy == "dfs":
        enter_folder(campaign.path)
        for scenario in scenarios:
            lives, report.coverage[scenario] = _explore(campaign, scenario)
            take(lives)
    elif campaign.jobs <= 1:
        for scenario, seeds in batches:
            if out_of_time():
                report.cut_off = True
                break
            take(_batch(campaign, scenario, seeds))
    else:
        pieces = ((campaign, scenario, seeds) for scenario, seeds in batches)
        report.cut_off = each_in_processes(_piece, pieces, campaign.jobs, take, out_of_time)
    report.seeds = len({name.rpartition("/")[2] for name in report.hashes})
    report.findings = _shrink_all(app, distinct, clock if campaign.shrink else None)
    report.elapsed_s = clock.monotonic_s() - began_s
    return report


def _batches(
    campaign: Campaign, scenarios: Sequence[str], wanted: Callable[[str], bool]
) -> Iterator[tuple[str, Sequence[int]]]:
    """Scenarios take turns, so that a time limit cuts all of them alike."""
    for at in range(0, len(campaign.seeds), BATCH_COUNT):
        for scenario in scenarios:
            if wanted(scenario):
                yield scenario, campaign.seeds[at : at + BATCH_COUNT]


def _explore(campaign: Campaign, scenario: str) -> tuple[list[Life], Coverage]:
    """All orders of one scenario without faults, as far as time and `--seeds` allow; seeds count the lives here."""
    clock = SystemClock()
    began_s = clock.monotonic_s()
    app = app_of(campaign.path, campaign.scenario, campaign.overrides, campaign.settings)
    bounds = Bounds(real_s=campaign.time_limit_s)
    lives: list[Life] = []
    coverage = Coverage()

    def run(order: Order) -> Deviations:
        # One world for all orders: seed 0 draws what is drawn; the number of the life stands in for the seed.
        life = live(app, LifeSpec(scenario, 0, "dfs", order=order, bounds=bounds))
        assert life.deviations is not None
        found, life.deviations = life.deviations, None
        lives.append(life)
        return found

    def out_of_time() -> bool:
        return clock.monotonic_s() - began_s > campaign.time_limit_s

    for _ in explore(run, coverage, len(campaign.seeds), out_of_time):
        if campaign.stop_at_first and lives[-1].failure is not None:
            break
    return lives, coverage


def _count(report: Report, life: Life, number: int) -> None:
    spec = life.spec
    report.hashes[f"{spec.scenario}/{number}"] = life.trace_hash
    report.virtual_s += life.virtual_s
    report.steps += life.steps
    report.pairs |= life.pairs
    if life.inconclusive:
        report.inconclusive.append((spec.scenario, number, life.inconclusive))


# shrinking ------------------------------------------------------------------------------------------------------


def _shrink_all(
    app: SimulatedApp, distinct: Mapping[tuple[str, str, str], Life], clock: SystemClock | None
) -> list[Finding]:
    findings, kept = [], dict[str, int]()
    for life in sorted(distinct.values(), key=lambda life: (life.spec.scenario, life.spec.seed)):
        assert life.failure is not None
        scenario = life.spec.scenario
        kept[scenario] = kept.get(scenario, 0) + 1
        shrunk = None
        if clock is not None and kept[scenario] <= _SHRUNK_COUNT and life.failure.kind != "nondeterminism":
            shrunk = shrink_life(app, life, clock)
        if kept[scenario] <= _KEPT_COUNT:
            findings.append(Finding(life, life.failure, shrunk))
    return findings
