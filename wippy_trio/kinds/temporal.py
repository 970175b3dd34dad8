"""Kinds temporal.client and temporal.worker. Source: docs temporal/overview.

Temporal's SDK and trio-asyncio are the extra `temporal`, and imported only when such an entry opens and its engine is
a Temporal server: importing trio-asyncio changes the process's event-loop policy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError, UnavailableError, UnsupportedError
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime
from wippy_trio.workflows.choice import uses_server
from wippy_trio.workflows.temporal_config import ClientConfig, WorkerConfig

if TYPE_CHECKING:
    from wippy_trio.workflows.temporal_client import TemporalClient

__all__ = ["KINDS"]


def check_client(entry: Entry) -> None:
    """Refuse a client without address, or with settings that contradict each other."""
    ClientConfig.parse(entry)
    Lifecycle.parse(entry)


def check_worker(entry: Entry) -> None:
    """Refuse a worker without client or task queue, or with settings that contradict each other."""
    WorkerConfig.parse(entry)
    Lifecycle.parse(entry)


def _missing(entry: Entry, problem: ImportError) -> UnsupportedError:
    return UnsupportedError(f"{entry.kind} {entry.id} needs the extra wippy-trio[temporal]: {problem}")


@asynccontextmanager
async def open_temporal_client(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A connection, watched while the entry lives; nothing at all where workflows are embedded."""
    if not uses_server(runtime.config):
        yield
        return
    try:
        from wippy_trio.workflows.temporal_client import open_client
    except ImportError as problem:
        raise _missing(entry, problem) from problem
    config = ClientConfig.parse(entry)

    def tell(healthy: bool) -> None:
        report = runtime.log.info if healthy else runtime.log.error
        report("temporal server answers" if healthy else "temporal health check failed", client=str(entry.id))

    async with open_client(config, runtime) as client, trio.open_nursery() as nursery:
        if config.health_check_s is not None:
            nursery.start_soon(client.watch, config.health_check_s, tell)
        with runtime.resources.offer(entry.id, client):
            yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_temporal_worker(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A worker on its task queue, which is also the host of its workflows; or the embedded engine in its place."""
    config = WorkerConfig.parse(entry)
    if not uses_server(runtime.config):
        from wippy_trio.workflows.engine import workflows_of

        async with workflows_of(runtime).worker(entry.id):
            yield
        return
    try:
        from wippy_trio.workflows.temporal_client import TemporalClient
        from wippy_trio.workflows.temporal_worker import open_worker
    except ImportError as problem:
        raise _missing(entry, problem) from problem
    async with open_worker(config, runtime, await _client(config, runtime, TemporalClient)) as host:
        facts = {"id": str(config.id), "client": str(config.client), "task_queue": host.task_queue}
        runtime.events.publish("temporal.taskqueue", "taskqueue.register", str(config.id), facts)
        yield


async def _client(config: WorkerConfig, runtime: Runtime, kind: type[TemporalClient]) -> TemporalClient:
    """The worker's connection; its service is started where it does not run.

    Raises:
        UnavailableError: it cannot be had now; the supervisor tries again.
    """
    client = runtime.resources.find(config.client, kind)
    if client is None:
        try:
            await runtime.extras["supervisor"].start(config.client)
        except LuaError as problem:
            raise UnavailableError(f"{config.id}: client {config.client}: {problem}") from problem
        client = runtime.resources.find(config.client, kind)
    if client is None:
        raise UnavailableError(f"{config.id}: client {config.client} is not connected")
    return client


KINDS = (
    Kind("temporal.client", open_temporal_client, check=check_client, service=True),
    Kind("temporal.worker", open_temporal_worker, references=("client",), check=check_worker, service=True),
)
