"""The embedded engine as the rest of the node sees it: opened when there are workflows for it, and its hosts.

Source: docs temporal/workflows; ours (docs/guides/workflows.md).
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from wippy_trio.core.errors import NotFoundError, UnsupportedError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows import wire
from wippy_trio.workflows.choice import Engine, engine_of
from wippy_trio.workflows.definitions import Definition, Definitions, definitions_of
from wippy_trio.workflows.embedded import Embedded
from wippy_trio.workflows.export import export_run
from wippy_trio.workflows.history import History, RunInfo, RunQuery, Status
from wippy_trio.workflows.history_sqlite import SqliteHistory
from wippy_trio.workflows.host import HOSTS, StartRequest, WorkflowHost
from wippy_trio.workflows.live import WorkflowSettings
from wippy_trio.workflows.wire import NONE

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["BUILT_IN", "EmbeddedHost", "Workflows", "workflows_of"]

#: Host of workflows whose entries name no worker.
BUILT_IN = EntryId("wippy", "workflows")
_KEY = "workflows"


class EmbeddedHost(WorkflowHost):
    """A worker's workflows in the embedded engine."""

    def __init__(self, id: EntryId, runtime: Runtime, engine: Embedded) -> None:
        super().__init__(id, runtime, runtime.node)
        self._engine = engine

    async def start(self, request: StartRequest) -> str:
        """See `WorkflowHost.start`."""
        return (await self._engine.start(request, self.id, self._node)).run_id

    async def signal(self, workflow_id: str, topic: str, payloads: bytes, source: str = "") -> None:
        """See `WorkflowHost.signal`."""
        await self._engine.tell_durably(workflow_id, wire.SignalReceived(topic, payloads, source))

    async def request_cancel(self, workflow_id: str, reason: str = "", source: str = "") -> None:
        """See `WorkflowHost.request_cancel`."""
        await self._engine.tell_durably(workflow_id, wire.CancelRequested(reason, source))

    async def end(self, workflow_id: str, reason: str = "") -> None:
        """See `WorkflowHost.end`."""
        await self._engine.end(workflow_id, reason)

    async def outcome(self, workflow_id: str, run_id: str = "") -> Any:
        """See `WorkflowHost.outcome`."""
        return await self._engine.client.outcome(workflow_id, run_id)

    async def query(self, workflow_id: str, name: str, args: bytes = NONE) -> Any:
        """See `WorkflowHost.query`."""
        del args
        return await self._engine.client.query(workflow_id, name)

    async def update(self, workflow_id: str, name: str, args: bytes, update_id: str) -> Any:
        """See `WorkflowHost.update`."""
        return await self._engine.client.update(workflow_id, name, args, update_id)

    async def runs(self, wanted: RunQuery) -> list[RunInfo]:
        """See `WorkflowHost.runs`."""
        return await self._engine.history.find(attrs.evolve(wanted, worker=str(self.id)))

    async def exported(self, info: RunInfo) -> dict[str, Any]:
        """See `WorkflowHost.exported`."""
        return export_run(info, await self._engine.history.load(info.run_id))

    async def reset(self, info: RunInfo, number: int, reason: str = "") -> str:
        """See `WorkflowHost.reset`; only from the beginning."""
        if number:
            raise UnsupportedError("the embedded engine resets to the beginning only (record 0)")
        records = await self._engine.history.load(info.run_id)
        started = wire.decode(records[0].data) if records else None
        if not isinstance(started, wire.Started):
            raise NotFoundError(f"no history of {info.workflow_id}")
        if info.status is Status.OPEN:
            await self.end(info.workflow_id, reason or "reset")
        options = attrs.evolve(started.options, conflict="fail", reuse="", start_delay_ns=0)
        entry = EntryId.parse(started.entry)
        return await self.start(StartRequest(entry, info.workflow_id, True, started.input, options, started.context))


class Workflows:
    """The embedded engine of a node, made with the first workflow entry, opened when needed, closed by the app."""

    def __init__(self, runtime: Runtime, nursery: trio.Nursery) -> None:
        self.runtime = runtime
        self.engine: Embedded | None = None
        self._nursery = nursery
        self._prepared = False
        self._inner: trio.Nursery | None = None
        self._stopped = trio.Event()
        self._opening = trio.Lock()
        self._resumed = False

    @property
    def definitions(self) -> Definitions:
        """What workflows there are."""
        return definitions_of(self.runtime.extras)

    async def opened(self) -> Embedded:
        """The engine, opened.

        Raises:
            UnsupportedError: setting `workflows.engine` is `temporal`.
            UnavailableError: its history cannot be opened.
        """
        async with self._opening:
            if self.engine is None:
                if engine_of(self.runtime.config) is Engine.TEMPORAL:
                    raise UnsupportedError("workflows.engine is temporal: workflows need a temporal.worker entry")
                history = await self._history()
                engine = Embedded(self.runtime, history, self.definitions, _settings(self.runtime.config))
                await self._nursery.start(self._hold, engine)
                self.engine = engine
        return self.engine

    async def _history(self) -> History:
        config, environment = self.runtime.config, self.runtime.environment
        url = config.get_str("workflows.database")
        if url.startswith(("postgres://", "postgresql://")):
            from wippy_trio.workflows.history_postgres import PostgresHistory

            history: History = await PostgresHistory.open(url, environment)
            return history
        if not url and config.project_dir == "/":  # an app without a folder
            url = ":memory:"
        if url != ":memory:":
            url = posixpath.join(config.project_dir, url or ".wippy/workflows.db")
        return await SqliteHistory.open(url, environment)

    async def _hold(self, engine: Embedded, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._inner = nursery
                await nursery.start(engine.run)
                task_status.started()
                await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await engine.history.aclose()
            self._stopped.set()

    async def host(self, id: EntryId) -> EmbeddedHost:
        """The host of a worker that is served by the embedded engine."""
        engine = await self.opened()
        known = self.runtime.extras.get(HOSTS, {}).get(str(id))
        if known is None:
            known = EmbeddedHost(id, self.runtime, engine)
            assert self._inner is not None
            await self._inner.start(known.run)
        assert isinstance(known, EmbeddedHost), id
        return known

    @asynccontextmanager
    async def worker(self, id: EntryId) -> AsyncIterator[EmbeddedHost]:
        """A `temporal.worker` entry on the embedded engine, while it is open."""
        engine = await self.opened()
        host = EmbeddedHost(id, self.runtime, engine)
        async with trio.open_nursery() as nursery:
            await nursery.start(host.run)
            yield host
            nursery.cancel_scope.cancel()

    async def prepare(self) -> None:
        """Open hosts for the workers that workflow entries name; by the app, when all entries are there."""
        self._prepared = True
        for definition in self.definitions.all():
            await self.prepare_for(definition)

    async def prepare_for(self, definition: Definition) -> None:
        """Open the host of one workflow entry, unless a `temporal.worker` entry is it."""
        worker = definition.worker or BUILT_IN
        if not self._prepared or engine_of(self.runtime.config) is Engine.TEMPORAL:
            return
        if not any(entry.id == worker and entry.kind == "temporal.worker" for entry in self.runtime.registry.all()):
            await self.host(worker)

    async def resume(self) -> None:
        """Go on with the open runs; once, when what they need is there."""
        if self.engine is not None and not self._resumed:
            self._resumed = True
            count = await self.engine.keeper.resume()
            if count:
                self.runtime.log.info("workflows go on", count=count)

    async def aclose(self) -> None:
        """Stop. What is under way goes on at the next start."""
        if self._inner is not None:
            self._inner.cancel_scope.cancel()
            await self._stopped.wait()


def _settings(config: Any) -> WorkflowSettings:
    base = WorkflowSettings()
    return WorkflowSettings(
        config.get_int("workflows.cache", base.machines_count),
        config.get_int("workflows.activities", base.activities_count),
        config.get_int("workflows.inbox", base.inbox_count),
        config.get_int("workflows.history_length", base.records_count),
        config.get_int("workflows.history_size", base.history_bytes),
        config.get_duration_s("workflows.retry", base.retry_s),
        config.get_duration_s("workflows.retention", base.keep_s),
    )


def workflows_of(runtime: Runtime) -> Workflows:
    """The node's engine; not opened by that."""
    found = runtime.extras.get(_KEY)
    if found is None:
        found = runtime.extras[_KEY] = Workflows(runtime, runtime.extras["nursery"])
    assert isinstance(found, Workflows)
    return found
