"""The Python side of one Lua actor: what it owns in the world, and what its module operations may do for it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import trio

from sandbox.values import Handle, Packed, pack
from wippy_trio.core.errors import InternalError, InvalidError, LuaError, PermissionDeniedError
from wippy_trio.core.frame import EMPTY_FRAME, Frame

if TYPE_CHECKING:
    from determinism.seams import Environment
    from wippy_trio.actors.engine import Unit
    from wippy_trio.actors.shard import Shard
    from wippy_trio.runtime import Runtime

__all__ = ["LuaActor", "Outcome", "real_failure"]

Close = Callable[[], object]
Start = Callable[[trio.Nursery], None]
_RELEASE_S = 5.0
_MAILBOX = 0  # beside the numbers of sources


class Outcome:
    """How a call or process ended: encoded result, or encoded error."""

    __slots__ = ("data", "ok")

    def __init__(self, ok: bool, data: bytes) -> None:
        self.ok = ok
        self.data = data

    @property
    def packed(self) -> Packed:
        return Packed(self.data)


class Cancellable(Protocol):
    """A command that can be cancelled: its task's scope, or a call without a task."""

    def cancel(self) -> None: ...


class Child(Protocol):
    """A call that ends with the actor that made it."""

    def abandon(self) -> None: ...


class Grant(Protocol):
    """Workers of a function that a VM may hold, for calls that stay inside it (functions/inside.py)."""

    def reserve(self) -> bool:
        """One more, if there is one."""

    def bind(self, caller: LuaActor, worker: int, command: int) -> bytes:
        """Make a running call known to the host; returns its PID."""

    def give_back(self) -> None:
        """One comes back, of a grant that was revoked."""

    def void(self) -> None:
        """The VM is no more."""


class LuaActor:
    """One actor in a shard: a process, or a worker of a function pool. Implements `module.Call`.

    Its nursery holds the commands it waits for; when the call or process ends, they are cancelled and what it was
    handed is closed.
    """

    __slots__ = (
        "_handles",
        "_next_handle",
        "_over",
        "_parked",
        "actor_id",
        "children",
        "commands",
        "early",
        "frame",
        "nursery",
        "on_end",
        "owner",
        "pid",
        "room",
        "shard",
        "unit",
        "upgradable",
    )

    def __init__(self, shard: Shard, actor_id: int, pid: str) -> None:
        self.shard = shard
        self.actor_id = actor_id
        self.pid = pid
        self.frame: Frame = EMPTY_FRAME
        self.nursery: trio.Nursery | None = None
        self.on_end: Callable[[Outcome], None] | None = None
        self.commands: dict[int, Cancellable] = {}
        #: Calls begun without a task of their own, by command: they end with this actor.
        self.children: dict[int, Child] = {}
        #: What starts the task that holds this actor, at its first need of a nursery; it does so itself, or names the
        #: actor in whose nursery it is to be started, and how. None where there is such a task.
        self.owner: Callable[[], tuple[LuaActor, Start] | None] | None = None
        self.room: dict[int, trio.Event] = {}
        #: The code of a process, and whether it asked to be told when that is outdated.
        self.unit: Unit | None = None
        self.upgradable = False
        self.early: list[Start] = []
        self._handles: dict[int, tuple[str, object, Close | None]] = {}
        self._next_handle = 0
        self._over = False
        self._parked: trio.lowlevel.Task | None = None

    # life ------------------------------------------------------------------------------------------------------
    async def hold(self) -> None:
        """The lifeline: parks the task until `finish_now`, with a nursery from the first waiting command on.

        Most short lives never wait for the host, and a nursery would be half of what they cost.
        """
        while not self.is_over() and not self.early:
            await self._park()
        if self.is_over():
            return
        try:
            async with trio.open_nursery() as nursery:
                self.nursery = nursery
                self.start_early()
                try:
                    while not self.is_over():
                        await self._park()
                finally:
                    self._over = True  # also when cancelled: nothing more is started
                nursery.cancel_scope.cancel()
        finally:
            self.nursery = None

    def is_over(self) -> bool:
        """Whether the call or process has ended (a method: it changes while a task waits)."""
        return self._over

    async def _park(self) -> None:
        def abort(_raise: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._parked = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def begin_now(self) -> None:
        """A new call of a worker begins."""
        self._over = False
        self.early.clear()
        self.commands.clear()

    def finish_now(self) -> None:
        """The call or process is over: `hold` returns, nobody waits for room any longer."""
        self._over = True
        if self.children:
            children, self.children = self.children, {}
            for child in children.values():
                self.shard.abandon(child)
        room, self.room = self.room, {}
        for event in room.values():
            event.set()
        self._unpark()

    def _unpark(self) -> None:
        task, self._parked = self._parked, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def in_nursery(self, start: Start) -> None:
        """Start something in the actor's nursery, which is opened for it where need be."""
        actor = self  # then its caller, and so on: a long chain of calls is no deep one
        while not actor._over:
            if actor.nursery is not None:
                start(actor.nursery)
                return
            actor.early.append(start)
            actor._unpark()
            owner, actor.owner = actor.owner, None
            above = None if owner is None else owner()
            if above is None:
                return
            actor, start = above

    def answer(self, command: int, status: int, data: bytes) -> None:
        """The result of a command that has no task: status 0 and a list of values, or 1 and an error."""
        self.commands.pop(command, None)
        self.children.pop(command, None)
        self.shard.enter(self, self.shard.vm.resolve, command, status, data)
        self.shard.wake()

    @property
    def runtime(self) -> Runtime:
        return self.shard.runtime

    @property
    def environment(self) -> Environment:
        return self.shard.runtime.environment

    # handles ---------------------------------------------------------------------------------------------------
    def handle(self, class_name: str, resource: object, close: Close | None = None) -> Handle:
        """See `module.Call.handle`."""
        self._next_handle += 1
        self._handles[self._next_handle] = (class_name, resource, close)
        return Handle(class_name, self._next_handle)

    def drop(self, resource: object) -> None:
        """See `module.Call.drop`."""
        for number, (_, held, _) in self._handles.items():
            if held is resource:
                del self._handles[number]
                return

    def resolve(self, handle: Handle) -> object:
        """The resource behind a handle.

        Raises:
            InvalidError: it was closed.
        """
        held = self._handles.get(handle.id)
        if held is None or held[0] != handle.class_name:  # a program cannot pass one thing off as another
            message = f"{handle.class_name} is closed"
            raise InvalidError(message)
        return held[1]

    def take_closers(self) -> list[Close]:
        """How to close, newest first, what the actor was handed and did not drop; it has nothing any more."""
        if not self._handles:
            return []
        handles, self._handles = self._handles, {}
        return [close for _, _, close in reversed(handles.values()) if close is not None]

    def drop_all(self) -> list[Close]:
        """Cancel all that is waited for, the caller's command too; returns how to close what the actor was handed."""
        children, self.children = self.children, {}
        for child in children.values():
            self.shard.abandon(child)
        for command in list(self.commands.values()):
            command.cancel()
        return self.take_closers()

    async def release(self, closers: Sequence[Close]) -> None:
        """Close all of them, whoever cancels, within a few seconds."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _RELEASE_S):
            for close in closers:
                try:
                    result = close()
                    if inspect.isawaitable(result):
                        await result
                except Exception as problem:  # noqa: BLE001 - one bad resource must not keep the others open
                    self.runtime.log.warn("closing a resource failed", pid=self.pid, error=str(problem))

    @property
    def guarded(self) -> bool:
        """Whether the identity it runs under has to be asked before it sends to an actor of its own VM."""
        frame = self.frame
        return (frame.actor is not None and frame.scope is not None) or bool(self.runtime.access.strict)

    # permissions ---------------------------------------------------------------------------------------------------
    def allowed(self, action: str, resource: str, attributes: Mapping[str, Any] | None = None) -> bool:
        """See `module.Call.allowed`."""
        return self.shard.runtime.access.allowed(self.frame, action, resource, attributes or {})

    def require(self, action: str, resource: str, attributes: Mapping[str, Any] | None = None) -> None:
        """See `module.Call.require`."""
        if not self.allowed(action, resource, attributes):
            message = f"not allowed: {action} on {resource}"
            raise PermissionDeniedError(message)

    # channels fed from here --------------------------------------------------------------------------------------
    def feed_now(self, source: int, value: object) -> bool:
        """See `module.Call.feed_now`."""
        taken = bool(self.shard.enter(self, self.shard.vm.feed, source, pack(value)) == 0)
        self.shard.wake()
        return taken

    async def feed(self, source: int, value: object) -> bool:
        """See `module.Call.feed`."""
        data = pack(value)
        while True:
            state = self.shard.enter(self, self.shard.vm.feed, source, data)
            self.shard.wake()
            if state != 2:
                return bool(state == 0)
            event = self.room.get(source)
            if event is None:
                event = self.room[source] = trio.Event()
            await event.wait()

    async def wait_room(self) -> None:
        """Wait until the mailbox, which is full, has room again or the actor is gone."""
        event = self.room.get(_MAILBOX)
        if event is None:
            if self._over or not self.shard.vm.want_room(self.actor_id):
                return
            event = self.room[_MAILBOX] = trio.Event()
        await event.wait()

    def drained(self, source: int) -> None:
        """The Lua side made room in a source, or (0) in the mailbox."""
        event = self.room.pop(source, None)
        if event is not None:
            event.set()

    def close_feed(self, source: int) -> None:
        """See `module.Call.close_feed`."""
        self.shard.vm.close_feed(self.actor_id, source)
        self.shard.wake()

    def start_early(self) -> None:
        """Start the commands that were issued before the nursery existed."""
        early, self.early = self.early, []
        for start in early:
            self.in_nursery(start)

    # tasks -------------------------------------------------------------------------------------------------------
    def background(self, function: Callable[..., Any], *args: object) -> Callable[[], None]:
        """See `module.Call.background`."""
        scope = trio.CancelScope()

        async def guarded() -> None:
            try:
                with scope:
                    await function(*args)
            except BaseException as problem:  # one failed task ends its actor, not what the actor lives in
                failure = real_failure(problem)
                if isinstance(failure, Exception):
                    self.crash(failure)
                elif failure is not None:
                    raise

        self.in_nursery(lambda nursery: nursery.start_soon(guarded))
        return scope.cancel

    def after_s(self, delay_s: float, function: Callable[[], None]) -> Callable[[], None]:
        """See `module.Call.after_s`."""

        async def later() -> None:
            await trio.sleep(max(delay_s, 0))
            function()

        return self.background(later)

    def crash(self, problem: Exception) -> None:
        """End the call or process with what one of its background tasks failed of."""
        if isinstance(problem, LuaError):
            error = problem
        else:
            trace = "".join(traceback.format_exception(problem))
            self.runtime.log.error("internal error in a background task", pid=self.pid, trace=trace)
            error = InternalError(f"internal error: {type(problem).__name__}: {problem}")
        self.shard.fail(self, error)


def real_failure(problem: BaseException) -> BaseException | None:
    """What is left of an exception without cancellation, taken out of groups of one; None when nothing is."""
    if isinstance(problem, trio.Cancelled):
        return None
    if isinstance(problem, BaseExceptionGroup):
        _, rest = problem.split(trio.Cancelled)
        while isinstance(rest, BaseExceptionGroup) and len(rest.exceptions) == 1:
            rest = rest.exceptions[0]
        return rest
    return problem
