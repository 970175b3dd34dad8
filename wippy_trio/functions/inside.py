"""Workers of a pool that VMs hold for calls of their own actors, which never leave the VM.

A VM asks for them one by one, and keeps them for its next calls. When the pool has no other room, or is closed, they
are revoked: those that are idle come back at once, the others as their calls end. The VM's half is
sandbox/prelude/calls.lua. Source: ours (docs/internals/kernel.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.functions.worker import Worker

if TYPE_CHECKING:
    from wippy_trio.actors.actor import LuaActor
    from wippy_trio.actors.shard import Shard
    from wippy_trio.functions.pools import FunctionPool

__all__ = ["Grant", "Inside"]

#: Pools whose workers may live anywhere: a static pool's are made ahead, an adaptive one's are thinned out.
_KINDS = frozenset({"inline", "lazy"})
_BOUNDLESS = 1 << 50


class Grant:
    """What one VM holds of one pool."""

    __slots__ = ("count", "number", "pool", "revoked", "shard")

    def __init__(self, pool: FunctionPool, shard: Shard, number: int) -> None:
        self.pool = pool
        self.shard = shard
        self.number = number
        self.count = 0
        self.revoked = False

    def reserve(self) -> bool:
        """One more worker, if there is one."""
        if self.revoked or not self.pool.inside.take_one():
            return False
        self.count += 1
        return True

    def bind(self, caller: LuaActor, worker: int, command: int) -> bytes:
        """Make a running call known to the host; returns its PID."""
        pool, frame = self.pool, caller.frame
        pid = pool.new_pid()
        actor = self.shard.new_actor(pid, worker)
        actor.frame = Frame(pool.entry.id, pid, frame.actor, frame.scope, frame.values)
        Worker(actor, pool.topology).adopt(pid, caller, command, _nothing)
        return pid.encode()

    def revoke(self) -> None:
        """Take back all workers, those that are busy when they have done."""
        self.revoked = True
        self._came_back(self.shard.vm.revoke(self.number))

    def give_back(self) -> None:
        """One worker that was busy when all were revoked."""
        self._came_back(1)

    def _came_back(self, count: int) -> None:
        count = min(count, self.count)
        self.count -= count
        if (
            not self.count
            and self.shard.grants.get(self.number) is self
            and not self.shard.vm.calls_inside(self.number)
        ):
            del self.shard.grants[self.number]
        self.pool.inside.came_back(self, count)

    def void(self) -> None:
        """The VM is no more."""
        count, self.count, self.revoked = self.count, 0, True
        self.pool.inside.came_back(self, count)


class Inside:
    """What VMs hold of a pool."""

    def __init__(self, pool: FunctionPool) -> None:
        self._pool = pool
        self._grants: dict[Shard, Grant] = {}
        #: Workers that VMs hold, or have not given back yet; 0 of an inline pool, which has no bound.
        self.held_count = 0

    @property
    def busy_count(self) -> int:
        """Calls that run inside VMs, of grants that stand."""
        return sum(shard.vm.calls_inside(grant.number) for shard, grant in self._grants.items())

    def grant(self, shard: Shard) -> object:
        """Let a VM hold one worker, and more when it asks.

        Returns:
            (number, unit, method, CPU seconds, mailbox size, workers): the terms; more than one worker means that
            there is no bound and that none is kept. False where the pool's calls do not stay inside.
        """
        pool = self._pool
        if pool.settings.kind not in _KINDS:
            return False
        before = self._grants.pop(shard, None)
        if before is not None:
            before.revoke()
        inline = pool.settings.kind == "inline"
        if not inline and not pool.may_give():
            return False
        try:
            unit = shard.ensure(pool.current_unit())
        except LuaError:
            return False  # the long way tells what is wrong
        number = shard.next_grant = shard.next_grant + 1
        grant = self._grants[shard] = Grant(pool, shard, number)
        shard.grants[number] = grant
        if not inline:
            grant.count = 1
            self.held_count += 1
        limits = pool.engine.limits
        return number, unit, pool.method, limits.cpu_s, limits.mailbox_count, _BOUNDLESS if inline else 1

    def take_one(self) -> bool:
        """Count one more worker for a VM, if the pool has room."""
        if not self._pool.may_give():
            return False
        self.held_count += 1
        return True

    def revoke(self) -> None:
        """Take back all that VMs hold."""
        grants, self._grants = self._grants, {}
        for grant in grants.values():
            grant.revoke()

    def came_back(self, grant: Grant, count: int) -> None:
        """Workers are the pool's again."""
        if grant.revoked and self._grants.get(grant.shard) is grant:
            del self._grants[grant.shard]
        self.held_count -= count
        if count:
            self._pool.given_back()


def _nothing(_worker: Worker) -> None:
    """The worker is its VM's."""
