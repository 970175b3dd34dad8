"""A worker of a function pool: one warm actor that serves one call at a time.

A call from Lua is answered without a task of its own until it waits for the host (the short way); a call from Python is
a task from its beginning (the long way). Source: ours (docs/internals/kernel.md).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from sandbox.values import Packed, pack
from wippy_trio.actors.actor import LuaActor, Outcome, Start, real_failure
from wippy_trio.actors.topology import error_data, result_of
from wippy_trio.core.errors import CanceledError, LuaError, UnavailableError
from wippy_trio.core.frame import Frame

if TYPE_CHECKING:
    from wippy_trio.actors.topology import Topology

__all__ = ["Worker"]


class Worker:
    """One warm actor, which serves one call at a time."""

    __slots__ = (
        "_answer",
        "_caller",
        "_command",
        "_held",
        "_scope",
        "actor",
        "data",
        "done",
        "idle_since_s",
        "ok",
        "topology",
    )

    def __init__(self, actor: LuaActor, topology: Topology) -> None:
        self.actor = actor
        self.topology = topology
        self.done = False
        self.ok = False
        self.data = b""
        self.idle_since_s = 0.0
        self._answer: Callable[[Worker], None] | None = None
        self._caller: LuaActor | None = None
        self._command = 0
        self._scope: trio.CancelScope | None = None
        self._held = False
        actor.on_end = self._end

    def _end(self, outcome: Outcome) -> None:
        self.ok, self.data, self.done = outcome.ok, outcome.data, True
        self.actor.finish_now()
        if self._answer is not None and self._scope is None:
            self._finish()

    # The short way: a call without a task of its own, until it needs a nursery. --------------------------------------
    def begin(self, pid: str, data: bytes, caller: LuaActor, command: int, answer: Callable[[Worker], None]) -> None:
        """Start a call that answers `command` of `caller`; `answer` gets the worker back when it is over."""
        self.adopt(pid, caller, command, answer)
        self._call(pid, data)

    def adopt(self, pid: str, caller: LuaActor, command: int, answer: Callable[[Worker], None]) -> None:
        """The same for a call that runs already, inside the VM."""
        actor = self.actor
        self.done, self._answer, self._caller, self._command = False, answer, caller, command
        self._scope, self._held = None, False
        actor.begin_now()
        actor.owner = self._hold_from_now
        caller.commands[command] = self
        caller.children[command] = self
        self.topology.enter(pid, self)

    def _call(self, pid: str, data: bytes) -> None:
        actor, shard = self.actor, self.actor.shard
        if shard.enter(actor, shard.vm.call, pid.encode(), data, actor.guarded) is False:
            self.terminate_now(UnavailableError("the function's worker is gone"))
        shard.wake()

    def _hold_from_now(self) -> tuple[LuaActor, Start] | None:
        """The call waits for the host: from here on a task in the caller's nursery holds it."""
        caller = self._caller
        assert caller is not None
        scope = self._scope = trio.CancelScope()
        return caller, lambda nursery: nursery.start_soon(self._hold, scope)

    async def _hold(self, scope: trio.CancelScope) -> None:
        if scope is not self._scope:
            return  # cancelled before this task began
        self._held = True
        try:
            with scope:
                await self.actor.hold()
        except BaseException as problem:
            if real_failure(problem) is not None:
                raise
            # The caller ends; passed on, cancellations would nest as deep as calls do.
        finally:
            self.terminate_now(CanceledError("function call canceled"))
            if closers := self.actor.take_closers():
                await self.actor.release(closers)
            self._finish()

    def cancel(self) -> None:
        """The caller cancelled the call."""
        if self._scope is not None and self._held:
            self._scope.cancel()
        else:
            self._scope = None  # a task that was asked for and has not begun finds nothing to hold
            self.terminate_now(LuaError("operation canceled", kind="Canceled", retryable=False))

    def abandon(self) -> None:
        """The caller is over."""
        self.cancel()

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        caller, self._caller = self._caller, None
        self.actor.owner = None
        if answer is None or caller is None:
            return
        data, command = self.data, self._command
        self._leave()
        if closers := self.actor.take_closers():  # of a call that never waited
            self.actor.shard.engine.start_soon(partial(self.actor.release, closers))
        answer(self)
        # An outcome is a list of one value; an error is answered by the value itself.
        caller.answer(command, 0 if self.ok else 1, data if self.ok else data[1:])

    def _leave(self) -> LuaError | None:
        pid = self.actor.pid
        value, error = None, None
        if not self.ok or self.topology.is_watched(pid):
            value, error = result_of(self.data, ok=self.ok)
        self.topology.leave(pid, value, error)
        return error

    # Participant: a running call has a PID like any process. ---------------------------------------------------------
    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        shard = self.actor.shard
        state = shard.enter(self.actor, shard.vm.deliver, topic.encode(), source.encode(), data)
        shard.wake()
        return 1 if state is None else int(state)

    async def wait_room(self) -> None:
        await self.actor.wait_room()

    def event_now(self, event: dict[str, Any]) -> None:
        shard = self.actor.shard
        shard.enter(self.actor, shard.vm.event, pack(event))
        shard.wake()

    def terminate_now(self, error: LuaError) -> None:
        if not self.done:
            self.actor.shard.kill(self.actor)
            self._end(Outcome(ok=False, data=error_data(error)))

    # The long way ----------------------------------------------------------------------------------------------------
    async def run(self, pid: str, data: bytes, frame: Frame) -> Packed:
        """One call; cancelling it ends the worker."""
        actor = self.actor
        actor.pid, actor.frame = pid, frame
        self.done = False
        actor.begin_now()
        self.topology.enter(pid, self)
        try:
            self._call(pid, data)
            await actor.hold()
        finally:
            self.terminate_now(CanceledError("function call canceled"))
            error = self._leave()
            if closers := actor.take_closers():
                await actor.release(closers)
        if error is not None:
            raise error
        return Packed(self.data)
