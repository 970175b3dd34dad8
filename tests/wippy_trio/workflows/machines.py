"""Helpers of the tests of the step machine: a machine over the source of a workflow."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

from sandbox.values import pack_list
from wippy_trio.app.app import App
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.machine import WorkflowMachine
from wippy_trio.workflows.machine_shard import MachineShard
from wippy_trio.workflows.wire import Command, Context, Started

START_NS = 1_767_225_600_000_000_000
SEED = bytes(range(32))


def workflow_entry(source: str, modules: Any = (), name: str = "flow", **data: Any) -> Entry:
    """A workflow whose main function has `source` as its body."""
    body = f"return function(...) {source}\nend"
    return Entry(EntryId("app", name), "workflow.lua", {}, {"source": body, "modules": list(modules), **data})


def started(*args: Any, entry: str = "app:flow", **fields: Any) -> Started:
    """The first event of a run of it."""
    return Started(
        "order-1", "run-1", entry, entry, "{local@app:worker|order-1}", "app:worker", SEED,
        pack_list(args), fields.pop("context", Context()), **fields,
    )  # fmt: skip


def new_machine(app: App) -> WorkflowMachine:
    """A machine in a VM of its own."""
    engine = app.runtime.engine
    return WorkflowMachine(MachineShard(engine, "test", engine.limits.memory_bytes))


class Run:
    """A machine that is told events and keeps what it was told and what it said."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.machine = new_machine(app)
        self.told: list[tuple[int, Any]] = []
        self.said: list[list[Command]] = []

    def tell(self, event: Any, at_s: float = 0.0) -> list[Command]:
        """One event at so many seconds after the start."""
        now_ns = START_NS + round(at_s * 1e9)
        self.told.append((now_ns, event))
        self.said.append(self.machine.activate(now_ns, [event], history=(len(self.told), 0)))
        return self.said[-1]

    def replayed(self) -> list[list[Command]]:
        """What a new machine says when it is told the same."""
        machine = new_machine(self.app)
        return [
            machine.activate(now_ns, [event], replaying=True, history=(at + 1, 0))
            for at, (now_ns, event) in enumerate(self.told)
        ]


def opener(app: Any) -> Any:
    """`async with opened(source, modules) as run`."""

    @asynccontextmanager
    async def open_(source: str, modules: Any = (), *entries: Entry, **data: Any) -> Any:
        async with app(extra=[*entries, workflow_entry(source, modules, **data)]) as running:
            run = Run(running)
            yield run
            assert run.replayed() == run.said

    return open_
