"""Calls of functions: lookup, call options, interceptors, pools, and processes callable as functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from sandbox.values import Packed, pack_list, unpack
from wippy_trio.actors.host import ProcessHost, SpawnOptions
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import TimeoutExpiredError
from wippy_trio.core.frame import TRACE, Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.functions.intercept import Interceptor, Next, option_s, retry
from wippy_trio.functions.pools import FunctionPool, PoolSettings

if TYPE_CHECKING:
    from wippy_trio.actors.actor import LuaActor
    from wippy_trio.actors.engine import Engine
    from wippy_trio.actors.shard import Shard
    from wippy_trio.actors.topology import Topology
    from wippy_trio.runtime import Resources

__all__ = ["FunctionCalls"]


class FunctionCalls:
    """The function registry of a node: entry id -> pool."""

    def __init__(self, engine: Engine, topology: Topology, resources: Resources) -> None:
        self._engine = engine
        self._topology = topology
        self._resources = resources
        self._pools: dict[EntryId, FunctionPool] = {}
        self._hosted: dict[EntryId, tuple[Entry, EntryId]] = {}
        self._shard: Shard | None = None
        #: Around calls that have options.
        self.interceptors: list[Interceptor] = [retry(engine.environment)]
        #: Around every call, inside of those; and whether every call takes the long way for their sake.
        self.observers: list[Interceptor] = []
        self.observed = False

    async def start(self) -> None:
        """Open the shard that holds function workers."""
        self._shard = await self._engine.open_shard("functions")
        self._shard.calls_inside = self._engine.environment.world is None

    def _function_shard(self) -> Shard:
        assert self._shard is not None
        return self._shard

    def observe(self, *interceptors: Interceptor) -> None:
        """Let every call pass these interceptors, and hand on its place in a trace: none takes the short way now."""
        self.observers.extend(interceptors)
        self.observed = True
        for pool in self._pools.values():
            pool.inside.revoke()

    def add(self, entry: Entry) -> FunctionPool:
        """Register a function entry, in the place of an earlier version, whose running calls finish.

        Raises:
            InvalidError: a malformed pool field.
        """
        settings = PoolSettings.parse(entry)
        pool = FunctionPool(entry, settings, self._engine, self._topology, self._function_shard)
        before = self._pools.get(entry.id)
        self._pools[entry.id] = pool
        if before is not None:
            before.close()
        return pool

    def add_process(self, entry: Entry, host: EntryId) -> None:
        """Make a process with `meta.default_host` callable as a function."""
        self._hosted[entry.id] = entry, host

    def remove(self, entry: Entry) -> None:
        """Forget a function, unless another version has taken its place; running calls finish."""
        pool = self._pools.get(entry.id)
        if pool is not None and pool.entry is entry:
            del self._pools[entry.id]
            pool.close()
        if entry.id in self._hosted and self._hosted[entry.id][0] is entry:
            del self._hosted[entry.id]

    def has(self, id: EntryId) -> bool:
        """Whether it can be called."""
        return id in self._pools or id in self._hosted

    async def call(self, id: EntryId, args: Sequence[Any], frame: Frame, **options: Any) -> Any:
        """Call a function with Python values; returns its result.

        Args:
            id: the function.
            args: Lua-like values.
            frame: of the caller; the call inherits identity and context values.
            options: call options (`retry`, `timeout`, ...); override the entry's `meta.options`.

        Raises:
            LuaError: the function's error, or NotFound.
        """
        packed = await self.call_packed(id, pack_list(args), frame, options)
        values = unpack(packed.data)
        return values[0] if values else None

    def begin(self, id: EntryId, data: bytes, caller: LuaActor, command: int) -> bool:
        """Start a call without a task of its own; its pool answers `command` of `caller`.

        False when it has to take the long way: options, observers, a queue before the workers, or no such function.
        """
        pool = self._plain(id)
        if pool is None:
            return False
        return pool.begin(data, caller, command)

    def open_inside(self, shard: Shard, id: EntryId) -> object:
        """Let a VM hold workers of a function for calls of its own actors: the terms of a grant, see `Grant.terms`.

        False when calls have to come through here: as `begin`, or the pool keeps its workers together.
        """
        pool = self._plain(id)
        if pool is None or not shard.calls_inside:
            return False
        return pool.inside.grant(shard)

    def _plain(self, id: EntryId) -> FunctionPool | None:
        """The pool of a function whose calls need a worker and nothing else."""
        pool = self._pools.get(id)
        return None if pool is None or self.observed or pool.entry.meta.get("options") else pool

    async def call_packed(
        self,
        id: EntryId,
        data: bytes,
        frame: Frame,
        options: Mapping[str, Any] | None = None,
        extras: Mapping[str, Any] | None = None,
    ) -> Packed:
        """The same with an encoded argument list and an encoded result."""
        pool = self._pools.get(id)
        entry = pool.entry if pool is not None else self._engine.entry(id)
        run: Callable[[Frame], Awaitable[Packed]]
        if pool is not None:
            working = pool

            async def run(inner: Frame) -> Packed:
                return await working.call(data, inner)

        elif id in self._hosted:

            async def run(inner: Frame) -> Packed:
                return await self._run_process(id, data, inner)

        else:
            raise self._resources.explain_missing(id, "handler")
        declared = entry.meta.get("options") if entry is not None else None
        merged = {**(declared if isinstance(declared, Mapping) else {}), **(options or {})}
        if frame.extras and TRACE in frame.extras:
            extras = {TRACE: frame.extras[TRACE], **(extras or {})}
        inner = frame.child(id, options=merged, extras=extras)
        if not merged and not self.observers:
            return await run(inner)
        return await self._intercepted(run, inner)

    async def _intercepted(self, run: Next, frame: Frame) -> Packed:
        step = run
        for interceptor in reversed((*self.interceptors, *self.observers)):
            step = _bind(interceptor, step)
        timeout = frame.options.get("timeout")
        timeout_s = 0.0 if timeout is None else option_s(timeout, "timeout")
        if timeout_s <= 0:
            return await step(frame)
        try:
            with trio.fail_after(timeout_s):
                return await step(frame)
        except trio.TooSlowError:
            message = f"function call timed out after {timeout_s:g} s: {frame.entry}"
            raise TimeoutExpiredError(message) from None

    async def _run_process(self, id: EntryId, data: bytes, frame: Frame) -> Packed:
        host = self._resources.get(self._hosted[id][1], ProcessHost, "host")
        value = await host.execute(id, unpack(data), frame, SpawnOptions())
        return Packed(pack_list([value]))


def _bind(interceptor: Interceptor, step: Next) -> Next:
    async def bound(frame: Frame) -> Packed:
        return await interceptor(step, frame)

    return bound
