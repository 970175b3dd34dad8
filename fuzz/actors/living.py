"""One program under one seed: lived in a simulated world, watched by the model."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import attrs

from determinism.seams import Strike
from determinism.simulate import Bounds, Simulation
from fuzz.actors.mail import WrongError
from fuzz.actors.model import Model
from fuzz.actors.program import HOSTS, Program
from wippy_trio.app.app import App
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.simulation.loading import simulated_app
from wippy_trio.simulation.world import Life, LifeSpec, SimulatedApp, live

__all__ = ["FAULTS", "Outcome", "Sabotage", "run_program"]

_HERE = Path(__file__).parent
#: Faults whose effect on processes the model knows.
FAULTS = frozenset({"actor_crash", "actor_hang", "timer_jitter", "supervisor_storm"})
_BOUNDS = Bounds(steps=60_000, real_s=20.0)
Sabotage = Callable[[App], None]


@attrs.frozen(slots=True)
class Outcome:
    """How it went: the rule that was broken (empty: none) and how, what was met, and the life itself."""

    rule: str
    message: str
    features: frozenset[tuple[str, ...]]
    life: Life


@functools.cache
def _entries() -> tuple[Entry, ...]:
    def source(name: str) -> str:
        return (_HERE / name).read_text(encoding="utf-8")

    auto: dict[str, Any] = {"lifecycle": {"auto_start": True}}
    actor = {"source": source("actor.lua"), "method": "main", "modules": ["store", "time"]}
    scenario = {"source": source("scenario.lua"), "method": "main", "modules": ["registry"]}
    return (
        *(Entry(EntryId.parse(host), "process.host", {}, auto) for host in HOSTS),
        Entry(EntryId("app", "kv"), "store.memory", {}, auto),
        Entry(EntryId("app", "actor"), "process.lua", {}, actor),
        Entry(EntryId("app", "scenario"), "function.lua", {"type": "simulation"}, scenario),
    )


def _app(program: Program) -> SimulatedApp:
    made = Entry(EntryId("app", "program"), "registry.entry", {}, {"program": program.data()})
    config = Config(
        sections={"lua": {"mailbox_size": program.mailbox}}, project_dir="/app", config_dir="/app"
    )
    return simulated_app((*_entries(), made), config=config)


class _Watch:
    """Stands between a world and the model."""

    def __init__(self, model: Model, sabotage: Sabotage | None) -> None:
        self.model = model
        self.wrong: WrongError | None = None
        self._sabotage = sabotage

    def visit(self, app: App, simulation: Simulation) -> None:
        """Be told of what happens from here on."""
        self.simulation = simulation
        topology = app.runtime.processes
        if self._sabotage is not None:
            self._sabotage(app)
        enter, leave, cancel = topology.enter, topology.leave, topology.cancel

        def entered(pid: str, participant: Any) -> None:
            self._tell("born", pid)
            enter(pid, participant)

        def left(pid: str, value: Any, error: LuaError | None) -> None:
            outcome = f"value {'nil' if value is None else value}"
            self._tell("left", pid, outcome if error is None else f"error {error.kind} {error.message}")
            leave(pid, value, error)

        def canceled(target: str, source: str, reason: str) -> None:
            self._tell("canceled", target, source, reason)
            cancel(target, source, reason)

        setattr(topology, "enter", entered)  # noqa: B010 - mypy would not have a method assigned
        setattr(topology, "leave", left)  # noqa: B010
        setattr(topology, "cancel", canceled)  # noqa: B010
        operations = app.runtime.engine.operations
        at = next(at for at, one in enumerate(operations) if one.name == "print.write")
        operations[at] = attrs.evolve(operations[at], handler=self._note)

    def _note(self, call: Any, text: bytes, _place: bytes) -> None:
        told = text.decode()
        self.simulation.record(call.pid, "note", told)
        if told.startswith("@"):
            self._tell("note", call.pid, told[1:])

    def _tell(self, what: str, *args: str) -> None:
        model = self.model
        model.now_ns, model.step = self.simulation.now_ns(), self.simulation.steps
        if self.wrong is None:
            try:
                getattr(model, what)(*args)
            except WrongError as problem:
                self.wrong = problem
                self.simulation.record("model", "wrong", str(problem))


def run_program(  # noqa: PLR0913 - a life has this many sides
    program: Program,
    seed: int,
    *,
    faults: Collection[str] = (),
    schedule: Mapping[int, str] | None = None,
    strikes: tuple[Strike, ...] | None = None,
    keep: bool = False,
    sabotage: Sabotage | None = None,
) -> Outcome:
    """Live it once.

    Args:
        program: what the actors do.
        seed: of the order of things, and of the faults.
        faults: which may strike.
        schedule, strikes: exactly these instead.
        keep: keep the log.
        sabotage: breaks the runtime on purpose, to see that it is noticed.
    """
    watch = _Watch(Model(program.mailbox, faults=bool(faults)), sabotage)
    spec = LifeSpec(
        "app:scenario", seed, kinds=frozenset(faults), length=300, schedule=schedule, strikes=strikes, keep=keep,
        bounds=_BOUNDS,
    )
    life = live(_app(program), spec, watch.visit)
    if watch.wrong is None and life.failure is None and not life.inconclusive:
        watch._tell("over")  # noqa: SLF001 - this is where it ends
    if watch.wrong is not None:
        rule, message = watch.wrong.rule, str(watch.wrong)
    elif life.failure is not None:
        rule, message = life.failure.kind, life.failure.message
    else:
        rule = message = ""
    return Outcome(rule, message, frozenset(watch.model.features), life)
