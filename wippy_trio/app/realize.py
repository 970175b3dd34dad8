"""Entries become living things: the registry's `Realizer` over the catalogue, the resources and the supervisor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio

from determinism.faults import exempt
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.actors.supervisor import Service, Supervisor, only_error
from wippy_trio.app.catalogue import UNBUILT_KINDS, find_kind
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConflictError, InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.kind import Kind
from wippy_trio.loader.interpolate import interpolate, names_in
from wippy_trio.runtime import Runtime
from wippy_trio.system.env import env_of

__all__ = ["Realizer"]

Needs = Callable[[Entry], frozenset[EntryId]]


class _Held:
    """An entry that is open: its task waits for the word to close."""

    def __init__(self, entry: Entry, kind: Kind) -> None:
        self.entry = entry
        self.kind = kind
        self.close = trio.Event()
        self.closed = trio.Event()


class Realizer:
    """Opens and closes entries.

    Args:
        runtime: the organs.
        supervisor: runs services.
        needs: what an entry refers to.
        nursery: where open entries live.
    """

    def __init__(self, runtime: Runtime, supervisor: Supervisor, needs: Needs, nursery: trio.Nursery) -> None:
        self._runtime = runtime
        self._supervisor = supervisor
        self._needs = needs
        self._nursery = nursery
        self._held: dict[EntryId, _Held] = {}
        self._services: dict[EntryId, Entry] = {}
        self._restart: list[EntryId] = []

    # Realizer protocol -----------------------------------------------------------------------------------------
    async def begin(self) -> None:
        """See `registry.transition.Realizer`."""

    async def create(self, entry: Entry) -> None:
        """Open the entry, or make it known to the supervisor.

        Raises:
            InvalidError: an unknown kind.
            LuaError: the kind refused it.
        """
        kind = find_kind(entry.kind)
        if kind is None:
            raise InvalidError(f"{entry.id}: unknown entry kind '{entry.kind}'")
        ready = await self._ready(kind, entry)
        if kind.service:
            self._add_service(kind, ready)
        elif entry.kind in UNBUILT_KINDS:
            self._runtime.resources.unbuilt[entry.id] = entry.kind
        else:
            await self._open(kind, ready)

    async def update(self, old: Entry, new: Entry) -> None:
        """Close the old version and open the new one; the old one comes back when the new one is refused."""
        kind = find_kind(new.kind)
        if kind is not None and not kind.live_update:
            raise ConflictError(f"{new.id}: kind {new.kind} cannot be changed while it runs")
        self._ask(old, new)
        before = self._held.get(old.id)
        if kind is not None and kind.swap and before is not None:
            await self._swap(kind, before, new)
            return
        if kind is not None and kind.adopt is not None and old.id in self._services:
            ready = await self._ready(kind, new)
            if kind.adopt(self._services[old.id], ready, self._runtime):
                self._add_service(kind, ready)
                return
        running = self._supervisor.get(old.id)
        ran = running is not None and running.desired == "running"
        await self._close(old)
        try:
            await self.create(new)
        except LuaError:
            await self.create(old)
            if ran:
                self._restart.append(old.id)
            raise
        if ran:
            self._restart.append(new.id)

    async def _swap(self, kind: Kind, before: _Held, new: Entry) -> None:
        """Open the new version, then close the old one."""
        await self._open(kind, await self._ready(kind, new))
        before.close.set()
        await before.closed.wait()

    async def delete(self, entry: Entry) -> None:
        """Close the entry.

        Raises:
            LuaError: others need it.
        """
        self._ask(entry, None)
        await self._close(entry)

    def _ask(self, old: Entry, new: Entry | None) -> None:
        """Whether an open entry may go, or become another one; its kind raises where it may not."""
        kind = find_kind(old.kind)
        if kind is not None and kind.guard is not None and old.id in self._held:
            kind.guard(old, new, self._runtime)

    async def _close(self, entry: Entry) -> None:
        self._runtime.resources.unbuilt.pop(entry.id, None)
        if entry.id in self._services:
            await self._supervisor.remove(entry.id)
            del self._services[entry.id]
        held = self._held.pop(entry.id, None)
        if held is not None:
            held.close.set()
            await held.closed.wait()

    async def commit(self) -> None:
        """Tell processes whose code changed, and start services that want to run.

        A failure to start is logged, and retried by the restart policy.
        """
        self._runtime.engine.announce_changes()
        self._link_services()
        if not self.started:
            return
        restart, self._restart = self._restart, []
        for id_ in restart:
            await self._attempt(id_, self._supervisor.start(id_))
        await self.start_services()

    async def rollback(self) -> None:
        """See `registry.transition.Realizer`."""
        self._runtime.engine.forget_changes()
        self._link_services()

    # services --------------------------------------------------------------------------------------------------
    started = False

    async def start_services(self) -> list[tuple[EntryId, LuaError]]:
        """Start every auto_start service that does not run yet; returns what failed at its first attempt."""
        self.started = True
        failed = await self._supervisor.start_wanted()
        for id_, error in failed:
            self._runtime.log.error("service failed to start", service=str(id_), error=str(error))
        return failed

    async def _attempt(self, id_: EntryId, start: Awaitable[None]) -> None:
        try:
            await start
        except LuaError as error:
            self._runtime.log.error("service failed to start", service=str(id_), error=str(error))

    def _add_service(self, kind: Kind, entry: Entry) -> None:
        runtime = self._runtime

        def open_service() -> AbstractAsyncContextManager[Any]:
            return kind.open(entry, runtime)

        known = entry.id in self._services
        self._services[entry.id] = entry
        running = self._supervisor.get(entry.id) if known else None
        if running is not None:
            running.open = open_service  # of its next start
        else:
            self._supervisor.add(Service(entry.id, Lifecycle.parse(entry), open_service))

    def _link_services(self) -> None:
        """What each service needs: services its entry refers to, also through entries that are no services."""
        for id_ in self._services:
            found: set[EntryId] = set()
            seen: set[EntryId] = {id_}
            todo = list(self._needs(self._services[id_]))
            while todo:
                other = todo.pop()
                if other in seen:
                    continue
                seen.add(other)
                if other in self._services:
                    found.add(other)
                elif other in self._held:
                    todo.extend(self._needs(self._held[other].entry))
            service = self._supervisor.get(id_)
            if service is not None:
                service.needs = frozenset(found)

    # open entries ------------------------------------------------------------------------------------------------
    async def _open(self, kind: Kind, entry: Entry) -> None:
        held = _Held(entry, kind)
        try:
            await self._nursery.start(self._hold, held)
        except Exception as problem:
            error = only_error(problem)
            if error is not problem and isinstance(error, LuaError):
                raise error from problem
            raise
        self._held[entry.id] = held

    async def _hold(self, held: _Held, task_status: trio.TaskStatus[None]) -> None:
        exempt.set(False)  # the entry is the app's, also where a scenario created it
        opened = False
        try:
            async with held.kind.open(held.entry, self._runtime):
                opened = True
                task_status.started()
                await held.close.wait()
        except Exception as problem:
            if not opened:
                raise
            self._runtime.log.error("entry failed", entry=str(held.entry.id), error=str(only_error(problem)))
        finally:
            held.closed.set()

    async def close_all(self) -> None:
        """Stop all services, then close all entries, dependents first."""
        await self._supervisor.stop_all()
        for id_ in self._closing_order():
            held = self._held.pop(id_, None)
            if held is not None:
                held.close.set()
                await held.closed.wait()

    def _closing_order(self) -> list[EntryId]:
        """Dependents before what they refer to."""
        done: dict[EntryId, None] = {}

        def visit(id_: EntryId, depth: int) -> None:
            if id_ in done or id_ not in self._held or depth > 200:
                return
            done[id_] = None  # before its needs: a cycle ends here
            for other in sorted(self._needs(self._held[id_].entry)):
                visit(other, depth + 1)

        order: list[EntryId] = []
        for id_ in sorted(self._held):
            before = len(done)
            visit(id_, 0)
            order[:0] = list(done)[before:]
        return order

    # placeholders ------------------------------------------------------------------------------------------------
    async def _ready(self, kind: Kind, entry: Entry) -> Entry:
        """The entry as it is opened: resolved and checked."""
        ready = await self._resolved(entry)
        if kind.check is not None:
            kind.check(ready)
        return ready

    async def _resolved(self, entry: Entry) -> Entry:
        """The entry with `${...}` placeholders of its data resolved from the environment registry."""
        registry = env_of(self._runtime.extras)
        values: dict[str, str | None] = {}
        named = set(names_in(entry.data))
        for name in (*sorted(named), *_legacy_names(entry.data)):
            try:
                variable = registry.variable(name, entry.id.namespace)
            except NotFoundError:
                values[name] = None  # nobody declared it: the placeholder's own default counts
                continue
            # Declared but unset: its own default comes before the placeholder's.
            values[name] = await registry.lookup(name, entry.id.namespace) or variable.default
            if not values[name]:
                values[name] = None if name in named else ""  # a `_env` key of an unset variable keeps the inline value
        data = interpolate(entry.data, values.get)
        return entry if data == entry.data else attrs.evolve(entry, data=data)


def _legacy_names(data: Any) -> list[str]:
    """Variables named by `<field>_env` keys."""
    found: list[str] = []
    todo = [data]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(item)
        elif isinstance(item, Mapping):
            for key, value in item.items():
                if isinstance(value, str) and value and str(key).endswith("_env") and "${" not in value:
                    found.append(value)
                else:
                    todo.append(value)
    return found
