"""Invariants look at a simulated world without touching it: they have an engine of their own beside the app's.

Their steps are no choices of the schedule, take no virtual time, and draw from streams of their own, so that a run with
invariants is the same run as one without. Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import attrs
import trio

from determinism.entropy import SeededIds
from determinism.faults import exempt, observer
from determinism.memory import InlineThreads
from determinism.seams import NoFaults
from determinism.simulate import Simulation
from sandbox.errors import LuaError
from wippy_trio.actors.engine import Engine
from wippy_trio.actors.topology import Topology
from wippy_trio.app.app import App
from wippy_trio.app.catalogue import ALWAYS, find_module
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import EMPTY_FRAME
from wippy_trio.functions.calls import FunctionCalls
from wippy_trio.simulation.looking import Looker
from wippy_trio.simulation.scenarios import Invariant, complaint

__all__ = ["Observers"]

Broken = Callable[[Invariant, str, str], None]


class Observers:
    """The invariants of one life.

    Args:
        app: the app they look at.
        invariants: what must hold.
        simulation: whose steps they follow.
        broken: told of an invariant that does not hold: (invariant, message, Lua traceback).
        looker: looks at the world too, once.
    """

    def __init__(
        self,
        app: App,
        invariants: Sequence[Invariant],
        simulation: Simulation,
        broken: Broken,
        looker: Looker | None = None,
    ) -> None:
        self._app = app
        self._invariants = invariants
        self._simulation = simulation
        self._broken = broken
        self._looker = looker
        self._functions: FunctionCalls | None = None
        self._stepped = trio.Event()
        self._looking = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Observers]:
        """They look for the duration of the block."""
        if not self._invariants and self._looker is None:
            yield self
            return
        async with trio.open_nursery() as nursery:
            await nursery.start(self._run, nursery)
            try:
                yield self
            finally:
                self._simulation.before_step = None
                nursery.cancel_scope.cancel()

    async def _run(self, nursery: trio.Nursery, task_status: trio.TaskStatus[None]) -> None:
        observer.set(True)  # for this task, and those that it starts
        exempt.set(True)
        await self._build(nursery)
        by_step = [item for item in self._invariants if item.every_step]
        for item in self._invariants:
            if item.every_s > 0:
                nursery.start_soon(self._look_every, item)
        if by_step:
            nursery.start_soon(self._look_each_step, by_step)
            self._simulation.before_step = self._step
        if self._looker is not None:
            nursery.start_soon(self._looker.wait, self._app, self._call_once)
        task_status.started()

    async def _build(self, nursery: trio.Nursery) -> None:
        runtime = self._app.runtime
        entropy = runtime.environment.entropy.fork("observers")
        environment = replace(
            runtime.environment,
            entropy=entropy,
            ids=SeededIds(entropy.fork("ids")),
            threads=InlineThreads(),
            faults=NoFaults(),
            world=None,
        )
        engine = self._engine = Engine(environment, find_module, ALWAYS, runtime.engine.limits)
        functions = self._functions = FunctionCalls(engine, Topology(), runtime.resources)
        engine.bind(attrs.evolve(runtime, environment=environment, engine=engine, functions=functions), nursery)
        await functions.start()
        for entry in self._app.registry.all():
            if entry.kind in {"function.lua", "library.lua", "process.lua"}:
                engine.add_entry(entry)
            if entry.kind == "function.lua":
                functions.add(entry)

    def _step(self) -> None:
        if not self._looking:
            self._stepped.set()

    async def _look_each_step(self, invariants: Sequence[Invariant]) -> None:
        while True:
            await self._stepped.wait()
            self._stepped = trio.Event()
            for item in invariants:
                await self._look(item)

    async def _look_every(self, invariant: Invariant) -> None:
        while True:
            await trio.sleep(invariant.every_s)
            await self._look(invariant)

    async def look_all(self, *, invariants: bool) -> None:
        """All of them, one after the other: the end of a life.

        Args:
            invariants: they too, not only who looks.
        """
        if not invariants and self._looker is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_at_the_end, self._invariants if invariants else ())

    async def _look_at_the_end(self, invariants: Sequence[Invariant]) -> None:
        observer.set(True)
        exempt.set(True)
        if self._looker is not None:
            await self._looker.take(self._app, self._call_once)
        for item in invariants:
            await self._look(item)

    async def _call_once(self, entry: Entry, args: Sequence[Any]) -> Any:
        """Call what is no entry of the app."""
        assert self._functions is not None
        self._engine.add_entry(entry)
        self._functions.add(entry)
        return await self._functions.call(entry.id, list(args), EMPTY_FRAME)

    async def _look(self, invariant: Invariant) -> None:
        assert self._functions is not None
        self._looking = True
        try:
            value: Any = await self._functions.call(invariant.id, [], EMPTY_FRAME)
            wrong, stack = complaint(value), ""
        except LuaError as problem:
            wrong, stack = str(problem) or "an error without a message", problem.stack
        finally:
            self._looking = False
        if wrong:
            self._broken(invariant, wrong, stack)
