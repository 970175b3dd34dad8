"""Pools of function workers: warm Lua actors that serve one call at a time.

inline: a fresh actor for each call. lazy: made when needed, kept, up to `max_size`. static: `workers` made at the
start, with a bounded queue before them. adaptive: like lazy, idle workers are dropped after a while. Source: docs
concepts/functions, guides/entry-kinds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.values import Packed
from wippy_trio.actors.actor import LuaActor
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, RateLimitedError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.functions.inside import Inside
from wippy_trio.functions.worker import Worker

if TYPE_CHECKING:
    from wippy_trio.actors.engine import Engine, Unit
    from wippy_trio.actors.shard import Shard
    from wippy_trio.actors.topology import Topology

__all__ = ["FunctionPool", "PoolSettings"]

_KINDS = ("inline", "lazy", "static", "adaptive")
_IDLE_S = 30.0


@attrs.frozen(slots=True)
class PoolSettings:
    """A pool's shape: `kind`, most workers at once, calls that may wait for a worker."""

    kind: str = "lazy"
    size: int = 100
    buffer: int = 6400

    @classmethod
    def parse(cls, entry: Entry) -> PoolSettings:
        """Read the `pool` field of a function entry.

        Raises:
            InvalidError: an unknown type or a size that is not positive.
        """
        pool = entry.data.get("pool") or {}
        if not isinstance(pool, Mapping):
            message = f"{entry.id}: pool must be a map"
            raise InvalidError(message)
        workers, size, most = (_count(entry, pool, key) for key in ("workers", "size", "max_size"))
        kind = pool.get("type") or ("static" if workers or size else "lazy")
        if kind not in _KINDS:
            message = f"{entry.id}: unknown pool.type '{kind}' (one of {', '.join(_KINDS)})"
            raise InvalidError(message)
        if kind == "static":
            count = workers or size or 8
        elif pool.get("type"):
            count = most or 16
        else:
            count = most or 100
        return cls(kind, count, _count(entry, pool, "buffer") or count * 64)


def _count(entry: Entry, pool: Mapping[str, Any], key: str) -> int:
    value = pool.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        message = f"{entry.id}: pool.{key} must be a whole number of at least 0"
        raise InvalidError(message)
    return value


class FunctionPool:
    """The workers of one function entry.

    Args:
        entry: the function.
        settings: shape of the pool.
        engine, topology: of the node.
        shard: gives the shard that holds the workers.
    """

    def __init__(
        self, entry: Entry, settings: PoolSettings, engine: Engine, topology: Topology, shard: Callable[[], Shard]
    ) -> None:
        self.entry = entry
        self.settings = settings
        self.engine = engine
        self.topology = topology
        self._shard = shard
        self._idle: deque[Worker] = deque()
        self._busy_count = 0
        self._waiting: deque[trio.Event] = deque()
        self.method = str(entry.data.get("method") or "main").encode()
        self._unit: Unit | None = None
        self._closed = False
        self._thinning = False
        #: Workers that VMs hold for calls of their own actors.
        self.inside = Inside(self)
        self._pid_prefix = str(Pid(engine.runtime.node, str(entry.id), ""))[:-1]

    @property
    def busy_count(self) -> int:
        """Calls that run now."""
        return self._busy_count + self.inside.busy_count

    @property
    def idle_count(self) -> int:
        """Warm workers that wait for a call."""
        return len(self._idle)

    def begin(self, data: bytes, caller: LuaActor, command: int) -> bool:
        """Start a call without a task of its own; False when all workers are busy and it has to wait its turn."""
        if not self._has_room():
            return False
        worker = self._worker()
        self._busy_count += 1
        pid = self.new_pid()
        frame = caller.frame
        actor = worker.actor
        actor.pid = pid
        actor.frame = Frame(self.entry.id, pid, frame.actor, frame.scope, frame.values)
        worker.begin(pid, data, caller, command, self._give_back)
        return True

    def _give_back(self, worker: Worker) -> None:
        self._keep(worker)
        self._release()

    def new_pid(self) -> str:
        """For a call."""
        return f"{self._pid_prefix}{self.engine.environment.ids.unique()}}}"

    async def call(self, data: bytes, frame: Frame) -> Packed:
        """Run the function with encoded arguments; the result is an encoded list of one value.

        Raises:
            LuaError: the function failed, or (RateLimited) too many calls wait for a worker.
        """
        await self._acquire()
        try:
            worker = self._worker()
            pid = self.new_pid()
            try:
                result = await worker.run(pid, data, attrs.evolve(frame, entry=self.entry.id, pid=pid))
            except LuaError:
                self._keep(worker)  # a failed call leaves the worker usable, unless it was killed
                raise
            except BaseException:
                worker.actor.shard.kill(worker.actor)
                raise
            self._keep(worker)
            return result
        finally:
            self._release()

    async def _acquire(self) -> None:
        if self._has_room():
            self._busy_count += 1
            return
        if len(self._waiting) >= self.settings.buffer:
            message = f"function {self.entry.id} is overloaded: {len(self._waiting)} calls wait for a worker"
            raise RateLimitedError(message)
        turn = trio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()  # the releaser hands its place over: _busy_count stays
        except BaseException:
            if turn.is_set():
                self._release()
            else:
                self._waiting.remove(turn)
            raise

    def _has_room(self) -> bool:
        """Whether one more worker may run; asks the VMs for those they do not use."""
        if self.settings.kind == "inline":
            return True
        inside = self.inside
        if inside.held_count and self._busy_count + inside.held_count >= self.settings.size:
            inside.revoke()
        return self._busy_count + inside.held_count < self.settings.size

    def may_give(self) -> bool:
        """Whether a VM may get one more worker: nobody waits for one, and there is room."""
        return not self._waiting and self._busy_count + self.inside.held_count < self.settings.size

    def given_back(self) -> None:
        """A VM gave back a worker: whoever waits longest goes on."""
        if self._waiting and self._busy_count + self.inside.held_count < self.settings.size:
            self._busy_count += 1
            self._waiting.popleft().set()

    def _release(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._busy_count -= 1

    def current_unit(self) -> Unit:
        """The code that the next call runs."""
        # Calls that waited while their function was replaced or deleted run what they were made to.
        unit = self._unit if self._closed and self._unit is not None else self.engine.unit(self.entry.id)
        if unit is not self._unit:  # the entry or an import changed: old workers are not used again
            self._drop_idle()
            self._unit = unit
        return unit

    def _worker(self) -> Worker:
        unit = self.current_unit()
        while self._idle:
            worker = self._idle.pop()
            if worker.actor.actor_id in worker.actor.shard.actors:
                return worker
        shard = self._shard()
        number = shard.ensure(unit)
        actor = shard.new_actor("")
        limits = self.engine.limits
        shard.enter(actor, shard.vm.open, b"", number, self.method, limits.cpu_s, limits.mailbox_count)
        return Worker(actor, self.topology)

    def _keep(self, worker: Worker) -> None:
        actor = worker.actor
        if actor.shard.actors.get(actor.actor_id) is not actor:
            return  # killed
        # A closed pool's entry may be gone or another one; its last calls end with their workers.
        if self._closed or self.settings.kind == "inline" or not self._is_current():
            actor.shard.kill(actor)
            return
        worker.idle_since_s = self.engine.environment.clock.monotonic_s()
        self._idle.append(worker)
        if self.settings.kind == "adaptive" and not self._thinning:
            self._thinning = True
            self.engine.start_soon(self._thin_out)

    def _is_current(self) -> bool:
        try:
            return self.engine.unit(self.entry.id) is self._unit
        except LuaError:  # an import went away: the next call says so, this one has its result
            return False

    async def _thin_out(self) -> None:
        """End workers that have been idle for long, until none is left."""
        try:
            while self._idle:
                oldest = self._idle[0]
                left_s = oldest.idle_since_s + _IDLE_S - self.engine.environment.clock.monotonic_s()
                if left_s > 0:
                    await trio.sleep(left_s)
                else:
                    self._idle.popleft()
                    oldest.actor.shard.kill(oldest.actor)
        finally:
            self._thinning = False

    def _drop_idle(self) -> None:
        while self._idle:
            worker = self._idle.pop()
            worker.actor.shard.kill(worker.actor)

    def warm(self) -> None:
        """Make the workers of a static pool ahead of the first call."""
        if self.settings.kind == "static":
            made = []
            for _ in range(self.settings.size):
                made.append(self._worker())
            self._idle.extend(made)

    def close(self) -> None:
        """End idle workers; running calls finish."""
        self._closed = True
        self.inside.revoke()
        self._drop_idle()


def function_id(text: str) -> EntryId:
    """The id of a call's target.

    Raises:
        InvalidError: empty, or without namespace or name.
    """
    space, colon, name = text.partition(":")
    if not (space and colon and name):
        message = f"invalid function id '{text}': expected namespace:name"
        raise InvalidError(message, retryable=False)
    return EntryId(space, name)
