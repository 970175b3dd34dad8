"""A small app on a real Temporal server, for the tests beside it."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from tests.conftest import entries_of
from tests.services.temporal import TemporalServer
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.host import HOSTS, WorkflowHost

_numbers = count(1)

BASE = """
- name: processes
  kind: process.host
  lifecycle: {auto_start: true}
- {name: client, kind: temporal.client, address: ADDRESS, CLIENT lifecycle: {auto_start: true, LIFECYCLE}}
- name: worker
  kind: temporal.worker
  client: client
  task_queue: QUEUE
  worker_options: OPTIONS
  lifecycle: {auto_start: true, LIFECYCLE}
"""
MODULES = ["funcs", "time", "workflow", "ctx", "channel", "errors", "uuid", "json"]


def lua_entry(name: str, kind: str, body: str, meta: dict[str, Any] | None = None) -> Entry:
    """An entry of a Lua kind whose method has this body; its arguments are `...`."""
    source = f"local errors = errors\nreturn {{ main = function(...)\n{textwrap.dedent(body)}\nend }}"
    modules = MODULES if kind == "workflow.lua" else ["funcs", "time", "ctx", "channel", "errors", "security"]
    return Entry(EntryId("app", name), kind, meta or {}, {"source": source, "method": "main", "modules": modules})


def workflow(name: str, body: str) -> Entry:
    """A workflow of the worker."""
    return lua_entry(name, "workflow.lua", body, {"temporal": {"workflow": {"worker": "worker"}}})


def activity(name: str, body: str, kind: str = "function.lua") -> Entry:
    """A function (or process) that is an activity of the worker."""
    return lua_entry(name, kind, body, {"temporal": {"activity": {"worker": "worker"}}})


def function(name: str, body: str) -> Entry:
    """A plain function."""
    return lua_entry(name, "function.lua", body)


class TemporalApp:
    """A running app and its worker."""

    def __init__(self, app: App, server: TemporalServer) -> None:
        self.app = app
        self.server = server

    @property
    def host(self) -> WorkflowHost:
        host: WorkflowHost = self.app.runtime.extras[HOSTS]["app:worker"]
        return host

    async def call(self, name: str, *args: Any, frame: Frame = EMPTY_FRAME) -> Any:
        """Call a function of the app."""
        return await self.app.call(f"app:{name}", *args, frame=frame)

    async def execute(self, name: str, *args: Any, frame: Frame = EMPTY_FRAME) -> Any:
        """Run a workflow and return its result."""
        from wippy_trio.actors.host import SpawnOptions

        return await self.host.execute(EntryId("app", name), args, frame, SpawnOptions())


def queue() -> str:
    """A task queue of its own: the server is shared."""
    return f"queue-{next(_numbers)}"


@asynccontextmanager
async def temporal_app(
    server: TemporalServer, *entries: Entry, name: str = "", failing: bool = False, **fields: str
) -> AsyncIterator[TemporalApp]:
    """Open an app with these entries on a task queue of its own (or the given one).

    Args:
        server: to connect to.
        entries: of the app.
        name: of the task queue.
        failing: services may fail at their first start.
        fields: YAML for `worker_options` (options), further fields of the client (client), of lifecycles (lifecycle).
    """
    client = fields.get("client", "")
    words = {
        "ADDRESS": f'"{server.address}"',
        "QUEUE": name or queue(),
        "OPTIONS": fields.get("options", "{}"),
        "CLIENT": f"{client}," if client else "",
        "LIFECYCLE": fields.get("lifecycle", ""),
    }
    text = BASE
    for word, value in words.items():
        text = text.replace(word, value)
    async with open_entries([*entries_of(text), *entries], config=Config()) as app:
        assert failing or app.failed == []
        yield TemporalApp(app, server)
