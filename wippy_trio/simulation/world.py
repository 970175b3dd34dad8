"""One life of an app in a simulated world: a seed, a scenario, what went wrong. See docs/guides/simulation.md.

Source: ours (architecture, section 4, level 3).
"""

from __future__ import annotations

import functools
import logging
import math
import re
import traceback
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import trio

from determinism.clock import SimulatedClock
from determinism.disk import SimulatedDisk
from determinism.disk_base import BaseView
from determinism.entropy import SeededEntropy, SeededIds
from determinism.explore import Deviations, Footprints, Order
from determinism.faults import FaultPlan, ListedFaults
from determinism.guard import no_real_io
from determinism.network import SimulatedNetwork
from determinism.seams import Environment, Strike
from determinism.simulate import Bounds, Simulation
from determinism.strategies import Scheduled, Strategy, make_strategy
from determinism.threads import SimulatedThreads
from determinism.trace import Trace, TraceEvent
from sandbox.errors import LuaError
from wippy_trio.actors.inspect import rows_of
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.simulation.faults import Sparing, faults_for
from wippy_trio.simulation.looking import Look, Looker
from wippy_trio.simulation.observers import Observers
from wippy_trio.simulation.peers import Peer, expect_peers, open_peers
from wippy_trio.simulation.scenarios import BOOT, Invariant, Scenario, complaint

__all__ = ["Failure", "Life", "LifeSpec", "SimulatedApp", "live"]

#: Nothing may happen for this long after the scenario, before its invariants are looked at for the last time.
SETTLE_S = 2.0
#: Where something always happens (a ticking service), it is not waited for longer than this.
SETTLE_MOST_S = 30.0
#: How long the services of an app without scenarios are watched.
BOOT_S = 60.0
_INJECTED = "injected fault"
_SHOWN_ROWS = 50
Visit = Callable[[App, Simulation], None]
#: What the runtime keeps there (histories of workflows): a node whose history cannot be written stops until somebody
#: starts it again, which nobody does here. The fault for workflows is `worker_kill`.
_OWN = ".wippy/"


@attrs.frozen(slots=True, eq=False)
class SimulatedApp:
    """An app as it was loaded; lives start from it, any number of them.

    Attributes:
        entries, config, module_roots: what loading gave.
        base: a view of the app's own folders on the machine's disk, for reading.
        scenarios, invariants: what it says must hold.
        peers: hosts outside the app that its scenarios play.
    """

    entries: tuple[Entry, ...]
    config: Config
    module_roots: Mapping[str, str]
    base: BaseView
    scenarios: tuple[Scenario, ...]
    invariants: tuple[Invariant, ...]
    peers: tuple[Peer, ...] = ()


@attrs.frozen(slots=True)
class LifeSpec:
    """Which life.

    Attributes:
        scenario: id of the scenario, or `(boot)`.
        seed: of everything that is drawn.
        strategy: by name.
        kinds: kinds of faults that may strike.
        strikes: exactly these faults strike instead, where the life comes past their places.
        schedule: step -> name: exactly these switches are made instead of the strategy's.
        order: what an exploration chose (`determinism.explore`).
        workload: numbers for the scenario, instead of its `meta.workload`.
        length: how many choices the scenario takes, as far as is known.
        asked: how often it asks for each kind of fault at each place, as far as is known.
        keep: keep the log of events and the names chosen.
        detail: the trace tells all that could differ between two lives (`check-determinism`).
        stack_at: number of an event at which the Python stack is kept.
        bounds: of the run.
    """

    scenario: str
    seed: int
    strategy: str = "swarm"
    kinds: frozenset[str] = frozenset()
    strikes: tuple[Strike, ...] | None = None
    schedule: Mapping[int, str] | None = None
    order: Order | None = None
    workload: Mapping[str, int] | None = None
    length: int = 500
    asked: Mapping[tuple[str, str], int] = attrs.field(factory=dict)
    keep: bool = False
    detail: bool = False
    stack_at: int = -1
    bounds: Bounds = attrs.field(factory=Bounds)


@attrs.frozen(slots=True)
class Failure:
    """What went wrong: `kind` is scenario, timeout, invariant, service, deadlock, leak or runtime."""

    kind: str
    message: str
    stack: str = ""

    @property
    def same_as(self) -> tuple[str, str]:
        """What makes two failures the same one, while shrinking: the kind, and the message without its numbers."""
        return self.kind, re.sub(r"\d+", "#", self.message)


@attrs.define(slots=True, eq=False)
class Life:
    """How a life went.

    Attributes:
        spec: which life.
        failure: what went wrong; None where everything held.
        inconclusive: why there is no verdict (`steps`, `time`, `until`), else empty.
        steps, events, choices: steps taken, events recorded, and steps at which there was a choice.
        virtual_s: virtual time it took.
        strikes: faults that struck.
        asked: how often each kind of fault was asked for at each place.
        trace_hash: of its trace.
        pairs: (actor, operation) pairs met.
        made: switches of the schedule, where one was given.
        names: names chosen, and log of events, where they were kept.
        deviations: its choices, where an order was given.
        stack: the Python stack at the event asked for.
        seen: what was looked at, as JSON values.
    """

    spec: LifeSpec
    failure: Failure | None = None
    inconclusive: str = ""
    steps: int = 0
    events: int = 0
    choices: int = 0
    virtual_s: float = 0.0
    strikes: tuple[Strike, ...] = ()
    asked: Mapping[tuple[str, str], int] = attrs.field(factory=dict)
    trace_hash: str = ""
    pairs: frozenset[tuple[str, str]] = frozenset()
    made: Mapping[int, str] = attrs.field(factory=dict)
    names: tuple[str, ...] = ()
    log: tuple[TraceEvent, ...] = ()
    deviations: Deviations | None = None
    stack: tuple[str, ...] = ()
    seen: Mapping[str, Any] | None = None


def live(app: SimulatedApp, spec: LifeSpec, visit: Visit | None = None, look: Look | None = None) -> Life:
    """Run one life from its beginning to its end.

    Args:
        app: the app.
        spec: which life.
        visit: called with the open app before the scenario begins.
        look: what to look at when, for `Life.seen`; with `until` the life ends there, without a verdict.
    """
    if not logging.getLogger().handlers:  # nobody reads what thousands of lives log
        logging.getLogger().addHandler(logging.NullHandler())
    world = _World(app, spec)
    world.looker = Looker(look, world.simulation) if look is not None else None
    try:
        with no_real_io():
            world.simulation.run(world.main, visit)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # noqa: BLE001 - a bug of ours, or a world that will not end: both are findings
        world.fail(Failure("runtime", f"{type(problem).__name__}: {problem}", _trace_of(problem)))
    return world.life()


class _World:
    def __init__(self, app: SimulatedApp, spec: LifeSpec) -> None:
        self.app = app
        self.spec = spec
        self.failure: Failure | None = None
        root = SeededEntropy(spec.seed)
        strategy: Strategy
        footprints: Footprints | None = None
        self.deviations: Deviations | None = None
        if spec.schedule is not None:
            strategy = Scheduled(spec.schedule)
        elif spec.order is not None or spec.strategy == "dfs":
            footprints = Footprints()
            strategy = self.deviations = Deviations(spec.order or Order(), footprints)
        else:
            strategy = make_strategy(spec.strategy, root, spec.length)
        self.trace = Trace(keep=spec.keep)
        simulation = self.simulation = Simulation(strategy, self.trace, spec.bounds)
        simulation.footprints = footprints
        simulation.detail, simulation.stack_at = spec.detail, spec.stack_at
        if spec.keep:
            simulation.schedule = []
        own = [*(one.id for one in app.scenarios), *(one.id for one in app.invariants), *(one.id for one in app.peers)]
        simulation.exempt = frozenset(map(str, own))
        self.faults: FaultPlan | ListedFaults
        if spec.strikes is not None:
            self.faults = ListedFaults(spec.strikes, self._struck)
        else:
            self.faults = faults_for(root.fork("faults"), spec.kinds, self._struck, spec.asked)
        self.faults.exempt = True
        self.environment = self._environment(root)
        self._over = False
        self.looker: Looker | None = None
        self._broken = trio.CancelScope()

    def _environment(self, root: SeededEntropy) -> Environment:
        faults, record = self.faults, self.simulation.record
        clock = SimulatedClock(faults)
        disk = SimulatedDisk(
            clock, base=self.app.base, faults=Sparing(faults, _OWN), observe=functools.partial(record, "disk")
        )
        self.simulation.on_host_killed = functools.partial(self._host_killed, disk)
        network = self.network = SimulatedNetwork(root.fork("network"), faults, record=record)
        expect_peers(self.app.peers, network)
        return Environment(
            clock=clock,
            entropy=root.fork("entropy"),
            ids=SeededIds(root.fork("ids")),
            threads=SimulatedThreads(root.fork("threads"), faults),
            disk=disk,
            network=network,
            faults=faults,
            world=self.simulation,
        )

    def _host_killed(self, disk: SimulatedDisk, host: str) -> None:
        strike = self.faults.strike("lost_unsynced_write", host)
        if strike is not None:
            disk.crash(strike)

    def _struck(self, strike: Strike) -> None:
        self.simulation.record("world", "fault", f"{strike.kind} at {strike.where} #{strike.number}")

    def fail(self, failure: Failure) -> None:
        """The first failure is the one that counts."""
        if self.failure is None and not self._over and self.simulation.stopped != "until":
            self.failure = failure
            self.simulation.record("world", "failure", f"{failure.kind}: {failure.message}")
            if self.looker is not None:
                self.looker.reached.set()

    def life(self) -> Life:
        simulation, trace = self.simulation, self.trace
        stopped = simulation.stopped
        inconclusive = stopped if stopped in {"steps", "time", "until"} and self.failure is None else ""
        strategy = simulation.strategy
        return Life(
            self.spec,
            self.failure,
            inconclusive,
            simulation.steps,
            trace.count,
            simulation.choices,
            simulation.now_ns() / 1e9,
            tuple(self.faults.struck),
            dict(self.faults.asked),
            trace.hexdigest(),
            frozenset(trace.pairs),
            dict(strategy.made) if isinstance(strategy, Scheduled) else {},
            tuple(simulation.schedule or ()),
            tuple(trace.log),
            self.deviations,
            tuple(simulation.stack),
            self.looker.seen if self.looker is not None else None,
        )

    # the run ---------------------------------------------------------------------------------------------------
    async def main(self, visit: Visit | None) -> None:
        opened: App | None = None
        try:
            async with open_entries(
                self.app.entries,
                config=self.app.config,
                environment=self.environment,
                module_roots=self.app.module_roots,
            ) as app:
                opened = app
                if visit is not None:
                    visit(app, self.simulation)
                async with open_peers(app, self.app.peers, self._peer_failed):
                    await self._play(app)
                self._check_network()
                self._check_services(app)
                self.faults.exempt = True
        except LuaError as problem:
            self.fail(Failure("service", f"the app does not start: {problem}", problem.stack))
        if opened is not None and not self.simulation.stopped:
            self._check_leaks(opened)

    async def _play(self, app: App) -> None:
        watching = Observers(app, self.app.invariants, self.simulation, self._invariant_broken, self.looker)
        async with watching.open() as observers:
            with trio.CancelScope() as scope:
                self.simulation.on_stop = scope.cancel
                self._broken = scope
                self.faults.exempt = False
                if self.deviations is not None:
                    self.deviations.on = True
                await self._scenario(app)
                await self._settle()
            if self.deviations is not None:
                self.deviations.on = False
            self.simulation.on_stop = None
            self.faults.exempt = True
            self.simulation.clock.alarm_s = math.inf
            if self.simulation.stopped == "late":
                took = "took longer than its virtual time (meta.timeout)"
                self.fail(Failure("timeout", f"{self.spec.scenario} {took}", _waiting(app)))
            if self.simulation.stopped == "deadlock":
                message = f"nothing can ever run again while {self.spec.scenario} waits"
                self.fail(Failure("deadlock", message, _waiting(app)))
            await observers.look_all(invariants=self.failure is None and not self.simulation.stopped)

    def _invariant_broken(self, invariant: Invariant, message: str, stack: str) -> None:
        self.fail(Failure("invariant", f"{invariant.id}: {message}", stack))
        self._broken.cancel()

    def _peer_failed(self, peer: EntryId, message: str, stack: str) -> None:
        self.fail(Failure("scenario", f"peer {peer}: {message}", stack))
        self._broken.cancel()

    async def _scenario(self, app: App) -> None:
        scenario = next((item for item in self.app.scenarios if str(item.id) == self.spec.scenario), None)
        if scenario is None:
            assert self.spec.scenario == BOOT, self.spec.scenario
            await trio.sleep(BOOT_S)
            return
        try:
            self.simulation.clock.alarm_s = trio.current_time() + scenario.timeout_s
            workload = scenario.workload if self.spec.workload is None else self.spec.workload
            value = await app.call(scenario.id, *([dict(workload)] if workload else []))
            self.simulation.clock.alarm_s = math.inf
            if wrong := complaint(value):
                self.fail(Failure("scenario", f"{scenario.id} {wrong}"))
        except LuaError as problem:
            self.fail(Failure("scenario", str(problem) or "an error without a message", problem.stack))

    async def _settle(self) -> None:
        if self.failure is not None:
            return
        until_s = trio.current_time() + SETTLE_MOST_S
        steps = -1
        while self.trace.count != steps and trio.current_time() < until_s:
            steps = self.trace.count
            await trio.sleep(SETTLE_S)

    def _check_services(self, app: App) -> None:
        for service in app.supervisor.all():
            error = service.error
            if str(service.state) == "failed" and error is not None and _INJECTED not in str(error):
                self.fail(Failure("service", f"service {service.id} failed for good: {error}", _stack_of(error)))

    def _check_network(self) -> None:
        """Who caught the error all the same has not been simulated."""
        if self.network.refused:
            places = ", ".join(self.network.refused)
            self.fail(Failure("scenario", f"real network in simulation: {places}; give the scenario a simulated peer"))

    def _check_leaks(self, app: App) -> None:
        left: Collection[str] = app.runtime.processes.pids()
        if left:
            self.fail(Failure("leak", f"alive after shutdown: {', '.join(sorted(left))}"))


def _waiting(app: App) -> str:
    """Who waits for what, for whoever reads the report."""
    rows = rows_of(app.runtime, app.runtime.processes.pids())
    waits = [f"{row.entry} {row.pid} {row.state}: {row.waits} {row.line}".rstrip() for row in rows]
    return "\n".join(waits[:_SHOWN_ROWS])


def _stack_of(error: BaseException) -> str:
    return str(getattr(error, "stack", ""))


def _trace_of(problem: BaseException) -> str:
    return "".join(traceback.format_exception(problem))
