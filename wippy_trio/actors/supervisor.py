"""The supervisor: starts, watches, restarts and stops services, in dependency order.

A service is an async context manager that lives in a task of the supervisor's nursery. Source: docs guides/supervision;
spec system/processes (supervisor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Protocol

import attrs
import trio

from determinism.faults import exempt
from determinism.seams import Environment
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.errors import (
    CanceledError,
    InternalError,
    LuaError,
    NotFoundError,
    TimeoutExpiredError,
    UnavailableError,
)
from wippy_trio.core.ids import EntryId

__all__ = ["Service", "ServiceState", "Supervisor", "only_error"]


class ServiceState(StrEnum):
    """States of a service, as the reference names them."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    FAILED = "failed"


class Lasting(Protocol):
    """What a service's context manager may yield: something that ends by itself."""

    async def wait(self) -> object:
        """Returns when the service is done (exited), raises when it failed."""


class Reporter(Protocol):
    """Told of every change of state."""

    def __call__(self, service: Service) -> None: ...


@attrs.define(slots=True, eq=False)
class Service:
    """A supervised entry."""

    id: EntryId
    lifecycle: Lifecycle
    open: Callable[[], AbstractAsyncContextManager[Any]]
    needs: frozenset[EntryId] = frozenset()
    state: ServiceState = ServiceState.STOPPED
    desired: ServiceState = ServiceState.STOPPED
    failures: int = 0
    restarts: int = 0
    error: BaseException | None = None
    started_s: float | None = None
    changed_s: float | None = None
    _stop: trio.CancelScope | None = None
    _settled: trio.Event = attrs.field(factory=trio.Event)
    _gone: trio.Event | None = None

    def is_wanted(self) -> bool:
        return self.desired is ServiceState.RUNNING


class Supervisor:
    """Services of a node.

    Args:
        environment: clock and entropy.
        report: told of every change of state.
    """

    def __init__(self, environment: Environment, report: Reporter) -> None:
        self._environment = environment
        self._entropy = environment.entropy.fork("supervisor")
        self._report = report
        self._services: dict[EntryId, Service] = {}
        self._nursery: trio.Nursery | None = None

    def bind(self, nursery: trio.Nursery) -> None:
        """Give it the nursery its services live in."""
        self._nursery = nursery

    def add(self, service: Service) -> None:
        """Make a service known; `start` runs it."""
        self._services[service.id] = service

    def get(self, id: EntryId) -> Service | None:
        """The service of that id."""
        return self._services.get(id)

    def all(self) -> list[Service]:
        """Every service, by id."""
        return [self._services[key] for key in sorted(self._services)]

    async def remove(self, id: EntryId) -> None:
        """Stop and forget a service."""
        if id in self._services:
            await self.stop(id)
            self._services.pop(id, None)

    # starting --------------------------------------------------------------------------------------------------
    async def start_wanted(self) -> list[tuple[EntryId, LuaError]]:
        """Start every service with auto_start that does not run, dependencies first; returns what failed."""
        failed: list[tuple[EntryId, LuaError]] = []
        depth: dict[EntryId, int] = {}
        for id_ in self.order(item.id for item in self.all() if item.lifecycle.auto_start):
            service = self._services[id_]
            depth[id_] = 1 + max((depth.get(need, 0) for need in self._needs(service)), default=0)

        async def attempt(id_: EntryId) -> None:
            try:
                await self.start(id_)
            except LuaError as problem:
                failed.append((id_, problem))

        for level in range(1, max(depth.values(), default=0) + 1):
            async with trio.open_nursery() as nursery:
                for id_ in (id_ for id_, at in depth.items() if at == level):
                    service = self._services[id_]
                    if not service.is_wanted() and service.state is not ServiceState.EXITED:
                        nursery.start_soon(attempt, id_)
        return sorted(failed, key=lambda item: item[0])

    def _needs(self, service: Service) -> list[EntryId]:
        return sorted({*service.needs, *service.lifecycle.requires})

    def order(self, wanted: Iterable[EntryId]) -> list[EntryId]:
        """`wanted` and what they need, dependencies first, ties by id.

        Raises:
            UnavailableError: a cycle.
        """
        done: dict[EntryId, None] = {}

        def visit(id_: EntryId, path: tuple[EntryId, ...]) -> None:
            if id_ in done:
                return
            if id_ in path:
                raise UnavailableError("service dependency cycle: " + " -> ".join(map(str, (*path, id_))))
            service = self._services.get(id_)
            if service is None:
                return
            for other in self._needs(service):
                visit(other, (*path, id_))
            done[id_] = None

        for id_ in wanted:
            visit(id_, ())
        return list(done)

    async def start(self, id: EntryId) -> None:
        """Start a service and what it requires; returns when it runs.

        Raises:
            NotFoundError: no such service.
            UnavailableError: a required service does not exist.
            LuaError: its first start failed (it may still be retried by its policy); what is no LuaError is an
                InternalError's cause.
        """
        service = self._services.get(id)
        if service is None:
            raise NotFoundError(f"service not found: {id}")
        missing = [str(item) for item in service.lifecycle.requires if item not in self._services]
        if missing:
            self._set(service, ServiceState.FAILED)
            raise UnavailableError(f"service {id} is blocked by missing dependencies: {', '.join(missing)}")
        for other in self.order([id])[:-1]:
            if self._services[other].state is not ServiceState.RUNNING and other in service.lifecycle.requires:
                await self.start(other)
        if service.desired is not ServiceState.RUNNING:
            assert self._nursery is not None
            service.desired = ServiceState.RUNNING
            service.failures, service.error = 0, None
            service._settled, service._gone = trio.Event(), trio.Event()  # noqa: SLF001 - its own record
            self._nursery.start_soon(self._keep, service)
        await service._settled.wait()  # noqa: SLF001
        if service.error is None or service.state is ServiceState.RUNNING:
            return
        if isinstance(service.error, LuaError):
            raise service.error
        raise InternalError(f"service {id} failed to start: {service.error}") from service.error

    async def stop(self, id: EntryId) -> None:
        """Stop a service within its stop time limit; no error when it does not run."""
        service = self._services.get(id)
        if service is None or service._gone is None:  # noqa: SLF001
            return
        service.desired = ServiceState.STOPPED
        if service.state in {ServiceState.RUNNING, ServiceState.STARTING}:
            self._set(service, ServiceState.STOPPING)
        if service._stop is not None:  # noqa: SLF001
            service._stop.cancel()  # noqa: SLF001
        await service._gone.wait()  # noqa: SLF001
        service._gone = None  # noqa: SLF001

    async def stop_all(self) -> None:
        """Stop everything that runs, dependents before what they depend on."""
        for id_ in reversed(self.order(item.id for item in self.all())):
            await self.stop(id_)

    # the life of one service -----------------------------------------------------------------------------------
    def _set(self, service: Service, state: ServiceState) -> None:
        service.state = state
        service.changed_s = self._environment.clock.monotonic_s()
        self._report(service)

    async def _keep(self, service: Service) -> None:
        """Run the service until it is stopped, ends by itself, or has failed too often."""
        exempt.set(False)  # it is the app's, also where a scenario made it start
        try:
            while service.is_wanted():
                self._set(service, ServiceState.STARTING)
                error = await self._once(service)
                if not service.is_wanted():
                    break
                service.error = error
                if error is None or _terminal(error):
                    service.desired = ServiceState.STOPPED
                    self._set(service, ServiceState.EXITED)
                    return
                service.failures = 1 if self._was_stable(service) else service.failures + 1
                self._set(service, ServiceState.FAILED)
                service._settled.set()  # noqa: SLF001
                if service.lifecycle.restart.exhausted(service.failures):
                    service.desired = ServiceState.STOPPED
                    return
                delay_s = service.lifecycle.restart.delay_s(service.failures, self._entropy.random())
                with trio.CancelScope() as scope:
                    service._stop = scope  # noqa: SLF001
                    await trio.sleep(delay_s)
                    service.restarts += 1
            self._set(service, ServiceState.STOPPED)
        finally:
            service._settled.set()  # noqa: SLF001
            if service._gone is not None:  # noqa: SLF001
                service._gone.set()  # noqa: SLF001

    def _was_stable(self, service: Service) -> bool:
        if service.started_s is None:
            return False
        lasted_s = self._environment.clock.monotonic_s() - service.started_s
        return lasted_s >= service.lifecycle.stable_threshold_s

    async def _once(self, service: Service) -> BaseException | None:
        """One life; None when it ended in peace."""
        service.started_s = None
        limit_s = service.lifecycle.start_timeout_s
        try:
            with trio.CancelScope(deadline=trio.current_time() + limit_s) as scope:
                service._stop = scope  # noqa: SLF001
                async with service.open() as lasting:
                    scope.deadline = float("inf")
                    service.started_s = self._environment.clock.monotonic_s()
                    service.error = None
                    self._set(service, ServiceState.RUNNING)
                    service._settled.set()  # noqa: SLF001
                    if lasting is None:
                        await trio.sleep_forever()
                    else:
                        await lasting.wait()
            if scope.cancelled_caught and service.desired is ServiceState.RUNNING:
                return TimeoutExpiredError(f"service {service.id} start timed out after {limit_s:g} s")
        except Exception as problem:  # noqa: BLE001 - a failed service must not take the node with it
            return only_error(problem)
        return None


def _terminal(error: BaseException) -> bool:
    return isinstance(error, CanceledError) or (isinstance(error, LuaError) and error.retryable is False)


def only_error(problem: BaseException) -> BaseException:
    """The error inside groups that hold just one."""
    while isinstance(problem, BaseExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem
