"""One run of a simulated world: the order of its steps, its trace, and how it is ended.

Everything that can go next stands in one list, in the order it became ready: tasks of trio, and the actors that share
a task. At every step the strategy is shown the list; what it chooses takes one step, and the rest stay. Observers
(invariants) go first, and nobody is asked, so that looking changes nothing. Source: ours (architecture, section 4).
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import trio

from determinism.explore import Footprints
from determinism.faults import observer
from determinism.schedule import JumpClock, run_simulated
from determinism.seams import Crew
from determinism.strategies import Strategy, owner_of
from determinism.trace import Trace

T = TypeVar("T")

__all__ = ["Bounds", "Simulation"]

_NS_PER_S = 1_000_000_000
_STEPS_PER_LOOK = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """`steps`: choices and steps in all; `real_s`: seconds of the machine's own time."""

    steps: int = 2_000_000
    real_s: float = 60.0


class Simulation:
    """The scheduler of one run, and the world as the engine meets it (`seams.World`).

    Args:
        strategy: chooses.
        trace: is told.
        bounds: after which a run is stopped, without a verdict.
    """

    def __init__(self, strategy: Strategy, trace: Trace, bounds: Bounds | None = None) -> None:
        self.strategy = strategy
        self.trace = trace
        self.clock = JumpClock()
        self.bounds = bounds or Bounds()
        #: Steps taken, and those at which there was a choice.
        self.steps = 0
        self.choices = 0
        #: Why the run was stopped from outside: "", `deadlock`, `late` (the clock's alarm), `steps`, `time`, `until`.
        self.stopped = ""
        #: Stops the run (cancels the scenario); set by whoever drives it.
        self.on_stop: Callable[[], None] | None = None
        #: Called when a host was killed.
        self.on_host_killed: Callable[[str], None] | None = None
        #: Called before each step that is not an observer's.
        self.before_step: Callable[[], None] | None = None
        #: `on_pause` is called after so many events (-1 for never), and when the run is stopped.
        self.pause_at = -1
        self.on_pause: Callable[[], None] | None = None
        self.exempt: Collection[str] = frozenset()
        #: See `seams.World.detail`.
        self.detail = False
        #: With `detail`: the number of an event whose Python stack is kept, and that stack.
        self.stack_at = -1
        self.stack: list[str] = []
        #: The names chosen where there was a choice; kept only on demand.
        self.schedule: list[str] | None = None
        #: Kept by explorations: the state a life is in.
        self.footprints: Footprints | None = None
        self._touched: list[str] = []
        self._name = self._owner = ""
        self._names: list[str] = []
        self._ready: list[tuple[trio.lowlevel.Task, int]] = []
        self._seen: set[trio.lowlevel.Task] = set()
        self._crews: dict[trio.lowlevel.Task, Crew] = {}
        self._waiting: dict[trio.lowlevel.Task, int] = {}
        self._started_s = 0.0

    def run(self, main: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`trio.run(main, *args)` in this world."""
        self._started_s = time.monotonic()
        return run_simulated(main, *args, scheduler=self, clock=self.clock)

    # World -----------------------------------------------------------------------------------------------------
    def adopt(self, crew: Crew) -> None:
        """See `seams.World`."""
        task = trio.lowlevel.current_task()
        self._crews[task] = crew
        self._waiting[task] = 0

    def record(self, actor: str, what: str, about: str = "", data: bytes = b"") -> None:
        """See `seams.World`."""
        if self.trace.count == self.stack_at:
            self.stack = traceback.format_stack()[:-1]
        self.trace.record(self.now_ns(), actor, what, about, data)
        if self.footprints is not None:
            self._touched.append(_object_of(actor, what, about))
        if self.trace.count == self.pause_at and self.on_pause is not None:
            self.on_pause()

    def is_exempt(self, actor: str) -> bool:
        """See `seams.World`."""
        return actor.partition("|")[0] in self.exempt

    def host_killed(self, host: str) -> None:
        """See `seams.World`."""
        if self.on_host_killed is not None:
            self.on_host_killed(host)

    def now_ns(self) -> int:
        """Virtual nanoseconds since the run began."""
        return round((self.clock.now_s - self.clock.start_s) * _NS_PER_S)

    # Scheduler -------------------------------------------------------------------------------------------------
    def pick(self, tasks: list[trio.lowlevel.Task]) -> int:
        """See `schedule.Scheduler`."""
        names, ready = self._names, self._ready
        crews, seen, waiting = self._crews, self._seen, self._waiting
        for at, task in enumerate(tasks):
            crew = crews.get(task)
            if crew is None:
                if task in seen:
                    continue
                if task.context.get(observer):
                    return at
                seen.add(task)
                names.append(task.name)
                ready.append((task, 0))
                continue
            added = crew.take_ready()
            if added:
                waiting[task] += len(added)
                for number, name in added:
                    names.append(name)
                    ready.append((task, number))
            elif not waiting[task]:
                return at  # it has nothing to run: housekeeping of its own
        return self._choose(tasks)

    def _choose(self, tasks: list[trio.lowlevel.Task]) -> int:
        names, ready = self._names, self._ready
        self.steps += 1
        if self.footprints is not None:
            self.footprints.step(self._name, self._owner, self._touched)
            self._touched.clear()
        if self.before_step is not None:
            self.before_step()
        if self.steps % _STEPS_PER_LOOK == 0 and not self.stopped:
            self._look()
        position = 0
        if len(names) > 1:
            position = self.strategy.choose(names)
            self.choices += 1
            if self.schedule is not None:
                self.schedule.append(names[position])
        if self.footprints is not None:
            # What holds an actor parks and goes; it commutes with all that the actor does.
            name = self._name = names[position]
            self._owner = name if name.endswith(" life") else owner_of(name)
            self._touched.append(_object_of(names[position], "task", ""))
        del names[position]
        task, number = ready.pop(position)
        if number:
            self._waiting[task] -= 1
            self._crews[task].run_next(number)
        else:
            self._seen.discard(task)
        return tasks.index(task)

    def _look(self) -> None:
        if self.steps > self.bounds.steps:
            self.stop("steps")
        elif time.monotonic() - self._started_s > self.bounds.real_s:
            self.stop("time")

    def stop(self, why: str) -> bool:
        """End the run from outside, without what it may still have done; whether somebody ends it."""
        self.stopped = why
        self.record("world", "stopped", why)
        if self.on_pause is not None:
            self.on_pause()  # before what is ended is gone
        if self.on_stop is None:
            return False
        self.on_stop()
        return True

    def stuck(self) -> bool:
        """See `schedule.Scheduler`."""
        return not self.stopped and self.stop("deadlock")

    def late(self) -> None:
        """See `schedule.Scheduler`."""
        if not self.stopped:
            self.stop("late")


def _object_of(actor: str, what: str, about: str) -> str:
    """The object that an event touches, coarsely: events that touch no object in common may come in either order."""
    if what == "sent":
        return f"mailbox {about.rpartition(' to ')[2].rpartition('|')[2]}"
    if what in {"message", "event", "answer", "begin"}:
        return f"mailbox {actor.rpartition('|')[2]}}}"
    if what == "call":
        return f"module {about.partition('.')[0]}"
    if what == "task":  # what serves an operation, or holds an actor, or is the runtime's own
        operation = actor.partition(" ")[2]
        if not operation:
            return f"actor {actor}" if "|" in actor else "runtime"
        if operation == "life" or operation.startswith("time."):
            return f"task {actor}"
        return f"module {operation.partition('.')[0]}"
    if what in {"step", "issue"}:
        return f"actor {actor}"
    return "runtime"
