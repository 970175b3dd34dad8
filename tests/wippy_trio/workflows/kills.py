"""Helpers: a node that stops dead after so many writes to its history, and one that goes on after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from determinism.environment import seeded_environment
from sandbox.errors import LuaError
from wippy_trio.actors.host import SpawnOptions
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import AlreadyExistsError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.activities import Activities
from wippy_trio.workflows.engine import EmbeddedHost
from wippy_trio.workflows.history_sqlite import SqliteHistory

_WRITES = ("create", "append", "note", "post")


class Frozen:
    """The history of a node that stops dead: after `left` writes nothing returns any more."""

    def __init__(self, history: SqliteHistory, left: int) -> None:
        self._history = history
        self.left = left
        self.writes = 0
        self.dead = trio.Event()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._history, name)
        if name not in _WRITES:
            return found

        async def write(*args: Any) -> Any:
            if self.left == 0:
                self.dead.set()
                await trio.sleep_forever()
            self.left -= 1
            self.writes += 1
            await found(*args)
            if self.left == 0:  # it is written, but nobody hears of it
                self.dead.set()
                await trio.sleep_forever()

        return write


class Node:
    """An app on a history file, and what its activities did, over all its lives."""

    def __init__(self, entries: Sequence[Entry], database: str) -> None:
        self.entries = entries
        self.database = database
        self.effects: Counter[str] = Counter()
        self.frozen: Frozen | None = None
        self.lives = 0

    @asynccontextmanager
    async def life(self, monkeypatch: Any, writes: int = -1) -> AsyncIterator[App]:
        """One life; with `writes` it ends dead after so many."""
        call, effects = Activities._call, self.effects

        async def counted(own: Activities, command: Any, frame: Frame) -> bytes:
            effects[command.name] += 1
            return await call(own, command, frame)

        opened = SqliteHistory.open

        async def open_frozen(path: str, environment: Any) -> Any:
            self.frozen = Frozen(await opened(path, environment), writes)
            return self.frozen

        self.lives += 1
        seams = seeded_environment(self.lives)
        config = Config(sections={"workflows": {"database": self.database}}, project_dir="/", config_dir="/")
        with monkeypatch.context() as patch:
            patch.setattr(Activities, "_call", counted)
            patch.setattr(SqliteHistory, "open", open_frozen)
            async with open_entries(self.entries, config=config, environment=seams) as app:
                yield app

    @property
    def writes(self) -> int:
        """Writes of the last life."""
        assert self.frozen is not None
        return self.frozen.writes


def host_of(app: App, id: str = "wippy:workflows") -> EmbeddedHost:
    """A host of workflows."""
    found: EmbeddedHost = app.runtime.extras["workflow_hosts"][id]
    return found


async def start(app: App, *args: Any, entry: str = "app:flow", name: str = "one", **options: Any) -> str:
    """Start a workflow under a name, or find it, running or not; returns its PID."""
    given = {"temporal.workflow.id_reuse_policy": "reject_duplicate", **options}
    try:
        return await host_of(app).spawn(EntryId.parse(entry), args, Frame(options=given), SpawnOptions(name=name))
    except AlreadyExistsError:
        return host_of(app).pid(name)  # it has ended


async def outcome(app: App, name: str = "one") -> Any:
    """Result of a workflow, or its error's text."""
    try:
        return await host_of(app).outcome(name)
    except LuaError as problem:
        return f"{problem.kind}: {problem}"


Play = Callable[[App], Awaitable[None]]


async def through_all_kills(
    node_of: Callable[[], Node], play: Play, monkeypatch: Any
) -> list[tuple[Any, Counter[str]]]:
    """Result and effects of a play, undisturbed first, then with a death after each write; `play` is played again
    after a death, as clients do who were not answered.
    """
    node = node_of()
    async with node.life(monkeypatch) as app:
        await play(app)
        found = [(await outcome(app), node.effects)]
    writes = node.writes
    for after in range(1, writes + 1):
        node = node_of()
        async with node.life(monkeypatch, after) as app, trio.open_nursery() as nursery:
            nursery.start_soon(play, app)
            assert node.frozen is not None
            await node.frozen.dead.wait()
            nursery.cancel_scope.cancel()
        async with node.life(monkeypatch) as app:
            await play(app)
            found.append((await outcome(app), node.effects))
    return found
