"""A mailbox in Python: a trio task that talks with Lua actors as one of them.

A `Mailbox` has a PID. Lua sends to it as to any process, and finds it full, gone, or ended in the same way; Python
reads it as a trio `ReceiveChannel`. A `TopicChannel` is the other direction: a trio `SendChannel` into an actor's
mailbox.
Source: ours; docs/guides/actors.md.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import attrs
import trio

from sandbox.values import as_text, pack_list, unpack
from wippy_trio.actors.topology import CANCEL, EXIT, Bounded
from wippy_trio.core.errors import CanceledError, InternalError, InvalidError, LuaError, NotFoundError, UnavailableError
from wippy_trio.core.ids import Pid

if TYPE_CHECKING:
    from wippy_trio.actors.topology import Topology
    from wippy_trio.runtime import Runtime

__all__ = ["CancelAsked", "Event", "LinkDown", "Mailbox", "Message", "ProcessExit", "TopicChannel"]

HOST = "python:mailbox"
_MAX_CANCELS = 1_024


@attrs.frozen(slots=True)
class Message:
    """A message as it arrived.

    Attributes:
        topic: what it was sent under.
        source: PID of the sender; empty for one without.
        payloads: Lua-like values (None, bool, int, float, str, bytes, list, dict, `LuaError`, `Payload`).
    """

    topic: str
    source: str
    payloads: tuple[Any, ...] = ()

    @property
    def payload(self) -> Any:
        """The first payload; None where there is none."""
        return self.payloads[0] if self.payloads else None


@attrs.frozen(slots=True)
class ProcessExit:
    """A monitored process ended: with `value`, or of `error`."""

    pid: str
    value: Any = None
    error: LuaError | None = None


@attrs.frozen(slots=True)
class LinkDown:
    """A linked process failed. A mailbox always traps: it does not end with its links."""

    pid: str
    error: LuaError | None = None


@attrs.frozen(slots=True)
class CancelAsked:
    """Somebody asked it to stop. What that means is up to the task that reads."""

    source: str
    reason: str = ""


Event: TypeAlias = ProcessExit | LinkDown | CancelAsked


class Mailbox(trio.abc.ReceiveChannel[Message]):
    """A participant whose messages a trio task reads; it lives as long as its `async with` block.

    Messages come in the order of each sender. At most `capacity` wait; whoever sends to a full mailbox waits for room
    (or is told, where it cannot wait). Events have a channel of their own, `events`, and are never refused: there is
    one for each relation, but at most 1,024 requests to cancel, of which more would say nothing new. Which of the two
    channels is read first is up to the reader; an EXIT does not wait behind the messages of the one who ended.

    Leaving the block ends it as a process ends: names are free, monitors get EXIT, and links LINK_DOWN where an
    exception (a cancellation, too) left the block. Ended from outside (`process.terminate`), both channels end after
    what they still hold, and `error` is set.

    Args:
        runtime: the organs.
        name: name to register; empty for none.
        capacity: messages it may hold, at least 1.

    Raises:
        InvalidError: a capacity below 1.
    """

    def __init__(self, runtime: Runtime, name: str = "", *, capacity: int = 1_024) -> None:
        if capacity < 1:
            raise InvalidError(f"a mailbox holds at least one message, not {capacity}")
        self.name = name
        self.capacity = capacity
        self.pid = str(Pid(runtime.node, HOST, runtime.environment.ids.unique()))
        self.parent = ""
        self.error: LuaError | None = None
        self.started_s = runtime.environment.clock.monotonic_s()
        self._runtime = runtime
        self._topology: Topology = runtime.processes
        self._sender, self._receiver = trio.open_memory_channel[Message](capacity)
        self._event_sender, self.events = trio.open_memory_channel[Event](math.inf)  # bounded by event_now
        self._cancels = 0
        self._room = trio.lowlevel.ParkingLot()
        self._live = False

    async def __aenter__(self) -> Self:
        """Begin to live.

        Raises:
            AlreadyExistsError: another process holds the name.
            InvalidError: the name looks like a PID.
        """
        await trio.lowlevel.checkpoint()
        self._topology.enter(self.pid, self)
        self._live = True
        if self.name:
            try:
                self._topology.register(self.name, self.pid)
            except LuaError as error:
                self._end(error)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(_ending(problem))
        self.close()
        await trio.lowlevel.cancel_shielded_checkpoint()

    # reading ---------------------------------------------------------------------------------------------------
    async def receive(self) -> Message:
        """The next message.

        Raises:
            trio.EndOfChannel: it was ended from outside, and nothing is left.
            trio.ClosedResourceError: it was closed here.
        """
        message = await self._receiver.receive()
        self._room.unpark()
        return message

    def receive_nowait(self) -> Message:
        """The next message, if there is one.

        Raises:
            trio.WouldBlock: there is none now; otherwise as `receive`.
        """
        message = self._receiver.receive_nowait()
        self._room.unpark()
        return message

    @property
    def waiting_count(self) -> int:
        """Messages that wait to be received."""
        return self._receiver.statistics().current_buffer_used

    def close(self) -> None:
        """End it as a process that returns; tasks that wait for a message get `trio.ClosedResourceError`."""
        self._receiver.close()
        self.events.close()
        self._end(None)

    async def aclose(self) -> None:
        """The same, as trio's channels have it."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _end(self, error: LuaError | None) -> None:
        if not self._live:
            return
        self._live = False
        self.error = error
        self._sender.close()
        self._event_sender.close()
        now_s = self._runtime.environment.clock.monotonic_s()
        self._runtime.engine.exits.record((self.pid, self.name or HOST, self.parent), (self.started_s, now_s), error)
        self._topology.leave(self.pid, None, error)
        self._room.unpark_all()

    # talking ---------------------------------------------------------------------------------------------------
    def channel_to(self, destination: str, topic: str) -> TopicChannel:
        """A channel into the mailbox of a PID or of whoever holds a name; messages say that they are from here."""
        return TopicChannel(self._topology, destination, topic, self.pid)

    async def send(self, destination: str, topic: str, *payloads: Any) -> None:
        """Send one message, waiting for room.

        Raises:
            trio.BrokenResourceError: nobody is there.
        """
        await self.channel_to(destination, topic).send_all(*payloads)

    def monitor(self, target: str) -> None:
        """Get a `ProcessExit` when a PID, or the holder of a name, ends.

        Raises:
            NotFoundError: it does not run.
            AlreadyExistsError: it is monitored from here already.
        """
        self._topology.monitor(self.pid, self._topology.resolve(target))

    def unmonitor(self, target: str) -> None:
        """Stop that; no error when there was no watch."""
        self._topology.unmonitor(self.pid, self._topology.resolve(target))

    def link(self, target: str) -> None:
        """Get a `LinkDown` when it fails; and it ends (or gets LINK_DOWN) when this mailbox fails.

        Raises:
            NotFoundError: one of the two does not live.
        """
        self._topology.link(self.pid, self._topology.resolve(target))

    def unlink(self, target: str) -> None:
        """Remove a link; no error when there was none."""
        self._topology.unlink(self.pid, self._topology.resolve(target))

    # Participant -----------------------------------------------------------------------------------------------
    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        """See `topology.Participant`."""
        if self.waiting_count >= self.capacity:
            return 2
        try:
            self._sender.send_nowait(Message(topic, source, tuple(unpack(data))))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return 1
        return 0

    async def wait_room(self) -> None:
        """See `topology.Bounded`."""
        if self._live and self.waiting_count >= self.capacity:
            await self._room.park()
        else:
            await trio.lowlevel.checkpoint()

    def event_now(self, event: dict[str, Any]) -> None:
        """See `topology.Participant`."""
        made: Event
        result = event.get("result") or {}
        if event["kind"] == CANCEL:
            waiting = self.events.statistics().current_buffer_used
            self._cancels = min(self._cancels, waiting) + 1
            if self._cancels > _MAX_CANCELS:
                return
            made = CancelAsked(event.get("from", ""), as_text(event.get("reason") or ""))
        elif event["kind"] == EXIT:
            made = ProcessExit(event["from"], result.get("value"), result.get("error"))
        else:
            made = LinkDown(event["from"], result.get("error"))
        try:
            self._event_sender.send_nowait(made)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return  # nobody reads events any more

    def terminate_now(self, error: LuaError) -> None:
        """See `topology.Participant`."""
        self._end(error)


def _ending(problem: BaseException | None) -> LuaError | None:
    """What an exception that leaves the block is to those who watch."""
    if problem is None or isinstance(problem, LuaError):
        return problem
    if isinstance(problem, Exception):
        return InternalError(f"{type(problem).__name__}: {problem}")
    return CanceledError("the task of the mailbox was canceled")


class TopicChannel(trio.abc.SendChannel[Any]):
    """Sends values to one destination under one topic.

    A name is looked up at each `send`, so that a channel goes on when the name has moved to another process.

    Args:
        topology: of the node.
        destination: a PID, or a registered name.
        topic: of all messages.
        source: PID that messages say they are from; empty for none.

    Raises:
        InvalidError: an empty topic, or a reserved one (`@`).
    """

    def __init__(self, topology: Topology, destination: str, topic: str, source: str = "") -> None:
        if not topic or topic.startswith("@"):
            raise InvalidError(f"cannot send under the topic {topic!r}")
        self.destination = destination
        self.topic = topic
        self.source = source
        self._topology = topology
        self._closed = False
        self._waiting: set[trio.CancelScope] = set()

    def send_nowait(self, value: Any) -> None:
        """Send a value as a message's only payload.

        Raises:
            trio.WouldBlock: the mailbox is full.
            trio.BrokenResourceError: nobody is there.
            trio.ClosedResourceError: this channel was closed.
        """
        if not self._offer(pack_list([value])):
            raise trio.WouldBlock

    async def send(self, value: Any) -> None:
        """The same, waiting for room.

        Raises:
            trio.BrokenResourceError: nobody is there, or no longer.
            trio.ClosedResourceError: this channel was closed, even while it waited.
        """
        await self.send_all(value)

    async def send_all(self, *payloads: Any) -> None:
        """Send one message with all of these payloads, waiting for room."""
        await trio.lowlevel.checkpoint_if_cancelled()
        data = pack_list(payloads)
        if self._offer(data):
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                while True:
                    await self._room()
                    if self._offer(data):
                        return
            finally:
                self._waiting.discard(scope)
        raise trio.ClosedResourceError

    async def _room(self) -> None:
        full: object = self._topology.find(self._resolve())
        if isinstance(full, Bounded):
            await full.wait_room()
        elif full is not None:
            raise trio.BrokenResourceError(f"mailbox is full, and nobody can wait for room: {self.destination}")

    def _resolve(self) -> str:
        try:
            return self._topology.resolve(self.destination)
        except NotFoundError as problem:
            raise trio.BrokenResourceError(str(problem)) from problem

    def _offer(self, data: bytes) -> bool:
        if self._closed:
            raise trio.ClosedResourceError
        try:
            return self._topology.offer(self.destination, self.topic, self.source, data)
        except (NotFoundError, UnavailableError) as problem:
            raise trio.BrokenResourceError(str(problem)) from problem

    def close(self) -> None:
        """Close this channel, not the destination; tasks that wait in `send` get `trio.ClosedResourceError`."""
        self._closed = True
        for scope in self._waiting:
            scope.cancel()

    async def aclose(self) -> None:
        """The same, as trio's channels have it."""
        self.close()
        await trio.lowlevel.checkpoint()
