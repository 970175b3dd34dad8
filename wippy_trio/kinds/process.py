"""Kinds process.host, process.service and terminal.host. Source: docs system/process-host, guides/supervision."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from wippy_trio.actors.host import HostLimits, Process, ProcessHost, SpawnOptions
from wippy_trio.actors.identity import service_frame
from wippy_trio.actors.recording import RecordOptions
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.actors.supervisor import Supervisor
from wippy_trio.actors.terminal import TerminalHost
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime

__all__ = ["KINDS"]

_MAX_PROCESSES = 100_000


def _limits(entry: Entry) -> HostLimits:
    host = entry.data.get("host") or {}
    if not isinstance(host, Mapping):
        raise InvalidError(f"{entry.id}: host must be a map")
    for key, what in (("workers", "workers"), ("queue_size", "queue size"), ("local_queue_size", "local queue size")):
        value = host.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidError(f"{entry.id}: {what} must be greater than 0")
    record = RecordOptions.parse(entry.data.get("record"), str(entry.id))
    return HostLimits(int(host.get("max_processes") or _MAX_PROCESSES), Lifecycle.parse(entry).stop_timeout_s, record)


@asynccontextmanager
async def open_host(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A host of processes."""
    host = ProcessHost(entry.id, runtime.engine, runtime.processes, _limits(entry))
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        with runtime.resources.offer(entry.id, host):
            yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_terminal(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A host for one command-line process."""
    host = TerminalHost(entry.id, runtime.engine, runtime.processes, _limits(entry))
    host.hide_logs = entry.data.get("hide_logs") is True
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        with runtime.resources.offer(entry.id, host):
            yield
        nursery.cancel_scope.cancel()


class _Running:
    """The process of a service."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def wait(self) -> object:
        """Returns its result, or raises its error."""
        await self._process.ended.wait()
        if self._process.error is not None:
            raise self._process.error
        return self._process.value


def check_service(entry: Entry) -> None:
    """Refuse a service that names no process or host."""
    for key in ("process", "host"):
        if not entry.data.get(key):
            raise InvalidError(f"{entry.id}: {key} is required")
    Lifecycle.parse(entry)


@asynccontextmanager
async def open_service(entry: Entry, runtime: Runtime) -> AsyncIterator[_Running]:
    """A process that the supervisor keeps alive."""
    host = runtime.resources.get(relative(entry, entry.data["host"]), ProcessHost, "host")
    args = entry.data.get("input") or []
    if not isinstance(args, list):
        args = [args]
    process_id = relative(entry, entry.data["process"])
    pid = host.spawn(process_id, args, service_frame(entry, runtime), SpawnOptions(parent=str(entry.id)))
    process = host.processes[pid]
    try:
        yield _Running(process)
    finally:
        if not process.ended.is_set():
            stop_s = Lifecycle.parse(entry).stop_timeout_s
            with trio.CancelScope(deadline=trio.current_time() + stop_s, shield=True):
                runtime.processes.cancel(pid, "", "service stopping")
                await process.ended.wait()
            process.terminate_now(LuaError("service stopped", kind="Canceled", retryable=False))


def adopt_host(old: Entry, new: Entry, runtime: Runtime) -> bool:
    """Give a running host new limits; its processes go on. What was settled when it was made cannot change.

    Source: docs guides/entry-kinds (process.host).
    """
    host = runtime.resources.find(old.id, ProcessHost)
    if host is None:
        return False
    limits = _limits(new)
    was, now = (entry.data.get("host") or {} for entry in (old, new))
    for field in ("queue_size", "local_queue_size"):
        if was.get(field) != now.get(field):
            raise InvalidError(f"{new.id}: host.{field} cannot be changed while the host runs")
    for field in ("lifecycle", "record"):
        if old.data.get(field) != new.data.get(field):
            raise InvalidError(f"{new.id}: {field} cannot be changed while the host runs")
    host.limits = limits
    return True


def adopt_service(old: Entry, new: Entry, runtime: Runtime) -> bool:
    """A running service goes on as it is; what is new counts from its next start (spec sup.lifecycle_update)."""
    del new
    supervisor = runtime.extras.get("supervisor")
    service = supervisor.get(old.id) if isinstance(supervisor, Supervisor) else None
    return service is not None and service.desired == "running"


KINDS = (
    Kind("process.host", open_host, service=True, adopt=adopt_host),
    Kind("terminal.host", open_terminal, service=True),
    Kind(
        "process.service",
        open_service,
        references=("process", "host"),
        check=check_service,
        service=True,
        adopt=adopt_service,
    ),
)
